"""Uploads through a real socket: what is refused, why, and that nothing stays behind."""

from __future__ import annotations

import io
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest
import torch
from google.rpc import error_details_pb2
from torch import nn

from smidgen.v1 import dataset_service_pb2, model_service_pb2
from tests.python.formats.pt2_files import export
from tests.service.running_server import (
    RunningServer,
    chunks,
    details,
    ending,
    model_header,
    model_messages,
    sha256,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT


def test_upload_returns_and_stores_the_model(server: RunningServer, model_file: bytes) -> None:
    model = server.upload_model("stored", model_file, display_name="Ein «kleines» نتِ‌ 💣")

    assert model.name == "models/stored"
    assert model.display_name == "Ein «kleines» نتِ‌ 💣"
    assert model.sha256 == sha256(model_file)
    assert model.size_bytes == len(model_file)
    assert [(spec.name, list(spec.shape)) for spec in model.inputs] == [("image", [-1, 1, 8, 8])]
    assert [list(spec.shape) for spec in model.outputs] == [[-1, 4]]
    assert model.parameter_count == 380
    assert model.latest_version == ""
    request = model_service_pb2.GetModelRequest(name=model.name)
    assert server.models.GetModel(request) == model
    assert sha256(model_file) in server.blobs()


def test_a_model_exported_in_training_mode_is_stored_with_a_warning(
    server: RunningServer, tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5)).train()
    data = export(tmp_path / "net.pt2", net, torch.zeros(2, 4)).read_bytes()
    model = server.upload_model("training", data)
    assert ["exported in training mode" in warning for warning in model.warnings] == [True]
    request = model_service_pb2.GetModelRequest(name=model.name)
    assert server.models.GetModel(request).warnings == model.warnings


def test_a_pool_that_calibration_refuses_is_warned_of(
    server: RunningServer, tmp_path: Path
) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.MaxPool2d(3, 3, ceil_mode=True)).eval()
    data = export(tmp_path / "net.pt2", net, torch.zeros(2, 1, 15, 15)).read_bytes()
    (warning,) = server.upload_model("pooled", data).warnings
    assert "will refuse this model for pools that cannot be quantized: 1 (padding is" in warning
    assert "set ceil_mode=False" in warning


def refused_headers() -> Iterator[Any]:
    yield "id", {"model_id": "Not An Id"}, INVALID, "INVALID_ID"
    yield "path", {"model_id": "../etc/passwd"}, INVALID, "INVALID_ID"
    yield "format", {"format": 0}, INVALID, "INVALID_FORMAT"
    yield "sha256", {"sha256": "abc"}, INVALID, "INVALID_SHA256"
    yield "empty", {"total_bytes": 0}, INVALID, "INVALID_TOTAL_BYTES"
    yield "uuid", {"request_id": "not-a-uuid"}, INVALID, "INVALID_REQUEST_ID"
    yield "name", {"display_name": "x" * 129}, INVALID, "INVALID_DISPLAY_NAME"
    for kind, name in (("escape", "\x1b[31mred"), ("line", "a\nb"), ("turned", "a\u202eb")):
        yield kind, {"display_name": name}, INVALID, "INVALID_DISPLAY_NAME"
    too_large = grpc.StatusCode.RESOURCE_EXHAUSTED
    yield "size", {"total_bytes": 1 << 40}, too_large, "UPLOAD_TOO_LARGE"


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [pytest.param(*case, id=name) for name, *case in refused_headers()],
)
def test_bad_header_is_refused(
    server: RunningServer,
    model_file: bytes,
    fields: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    fields = {"model_id": "refused", **fields}
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model(fields.pop("model_id"), model_file, **fields)
    assert ending(caught.value) == (code, reason)
    assert_nothing_left(server, "refused")


def broken_streams() -> Iterator[Any]:
    def truncated(data: bytes) -> Iterator[Any]:
        yield from model_messages(model_header("broken", data), data[:-1])

    def wrong_digest(data: bytes) -> Iterator[Any]:
        yield from model_messages(model_header("broken", data), bytes([data[0] ^ 1]) + data[1:])

    def wrong_offset(data: bytes) -> Iterator[Any]:
        yield from model_messages(model_header("broken", data), data, start=5)

    def too_long(data: bytes) -> Iterator[Any]:
        yield from model_messages(model_header("broken", data), data + b"!")

    def large_chunk(data: bytes) -> Iterator[Any]:
        long = data * (1 + (1 << 20) // len(data))
        yield model_service_pb2.UploadModelRequest(header=model_header("broken", long))
        for chunk in chunks(long, size=len(long)):
            yield model_service_pb2.UploadModelRequest(chunk=chunk)

    def empty_chunk(data: bytes) -> Iterator[Any]:
        yield model_service_pb2.UploadModelRequest(header=model_header("broken", data))
        yield model_service_pb2.UploadModelRequest(chunk={"offset": 0, "data": b""})

    def two_headers(data: bytes) -> Iterator[Any]:
        yield model_service_pb2.UploadModelRequest(header=model_header("broken", data))
        yield model_service_pb2.UploadModelRequest(header=model_header("broken", data))

    def no_header(data: bytes) -> Iterator[Any]:
        for chunk in chunks(data):
            yield model_service_pb2.UploadModelRequest(chunk=chunk)

    def nothing(_: bytes) -> Iterator[Any]:
        yield from ()

    yield truncated, "UPLOAD_TRUNCATED"
    yield wrong_digest, "UPLOAD_DIGEST_MISMATCH"
    yield wrong_offset, "UPLOAD_OFFSET_MISMATCH"
    yield too_long, "UPLOAD_LENGTH_MISMATCH"
    yield large_chunk, "UPLOAD_CHUNK_SIZE"
    yield empty_chunk, "UPLOAD_CHUNK_SIZE"
    yield two_headers, "STREAM_PART_UNEXPECTED"
    yield no_header, "STREAM_PART_UNEXPECTED"
    yield nothing, "STREAM_PART_UNEXPECTED"


@pytest.mark.parametrize(
    ("messages", "reason"), [pytest.param(*case, id=case[0].__name__) for case in broken_streams()]
)
def test_bad_stream_is_refused(
    server: RunningServer,
    model_file: bytes,
    messages: Callable[[bytes], Iterator[model_service_pb2.UploadModelRequest]],
    reason: str,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.UploadModel(messages(model_file))
    assert ending(caught.value) == (INVALID, reason)
    assert_nothing_left(server, "broken")


def test_file_that_is_no_model_is_refused(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("broken", b"this is not an archive" * 50)
    code, reason = ending(caught.value)
    assert code == INVALID
    assert reason
    assert "/" not in (caught.value.details() or "").replace("torch.export.save", "")
    assert_nothing_left(server, "broken")


def test_pickle_file_is_refused(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("broken", b"\x80\x04cposix\nsystem\n." * 10)
    assert caught.value.code() == INVALID
    assert_nothing_left(server, "broken")


def test_damaged_artifact_is_refused(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("broken", b"\x08\0\0\0\0\0\0\0{}      ", is_artifact=True)
    assert caught.value.code() == INVALID
    assert_nothing_left(server, "broken")


@pytest.mark.parametrize("is_check", [True, False])
def test_unsupported_operator_is_named_with_its_node(
    server: RunningServer, unsupported_file: bytes, is_check: bool
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("broken", unsupported_file, validate_only=is_check)
    assert ending(caught.value) == (grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED_OPERATOR")
    metadata = details(caught.value)[error_details_pb2.ErrorInfo].metadata
    assert "fft" in metadata["op"]
    assert metadata["node"]
    assert metadata["node"] in caught.value.details()
    assert "fft" in caught.value.details()
    assert re.search(r"\(conftest\.py:\d+ in forward\)", caught.value.details())
    assert_nothing_left(server, "broken")


def test_taken_id_is_refused(server: RunningServer, model_file: bytes) -> None:
    server.upload_model("taken", model_file)
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("taken", model_file)
    assert ending(caught.value) == (grpc.StatusCode.ALREADY_EXISTS, "MODEL_ALREADY_EXISTS")
    info = details(caught.value)[error_details_pb2.ResourceInfo]
    assert info.resource_name == "models/taken"
    assert sha256(model_file) in server.blobs()


def test_validate_only_stores_nothing(server: RunningServer, other_model_file: bytes) -> None:
    model = server.upload_model("checked", other_model_file, validate_only=True)
    assert model.parameter_count > 0
    assert_nothing_left(server, "checked")
    assert sha256(other_model_file) not in server.blobs()


def test_same_request_id_stores_once(server: RunningServer, model_file: bytes) -> None:
    request_id = str(uuid.uuid4())
    first = server.upload_model("once", model_file, request_id=request_id)
    again = server.upload_model("once", model_file, request_id=request_id)
    assert again == first
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("once-more", model_file, request_id=request_id)
    assert ending(caught.value) == (INVALID, "REQUEST_ID_REUSED")


def test_dropped_stream_continues_where_it_broke(server: RunningServer, model_file: bytes) -> None:
    request_id = str(uuid.uuid4())
    header = model_header("resumed", model_file, request_id=request_id)
    committed = drop_stream(server, header, model_file, sent=10_000)
    assert committed == 10_000

    with pytest.raises(grpc.RpcError) as caught:
        server.models.UploadModel(model_messages(header, model_file))
    assert ending(caught.value) == (INVALID, "UPLOAD_OFFSET_MISMATCH")

    model = server.models.UploadModel(model_messages(header, model_file, start=committed))
    assert model.sha256 == sha256(model_file)
    assert server.leftovers() == []
    with pytest.raises(grpc.RpcError) as caught:
        server.models.GetUpload(upload_request(request_id))
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "UPLOAD_NOT_FOUND")


def test_dropped_stream_with_other_header_is_refused(
    server: RunningServer, model_file: bytes
) -> None:
    request_id = str(uuid.uuid4())
    header = model_header("other", model_file, request_id=request_id)
    drop_stream(server, header, model_file, sent=1000)
    changed = model_header("changed", model_file, request_id=request_id)
    with pytest.raises(grpc.RpcError) as caught:
        server.models.UploadModel(model_messages(changed, model_file, start=1000))
    assert ending(caught.value) == (INVALID, "REQUEST_ID_REUSED")
    server.models.UploadModel(model_messages(header, model_file, start=1000))


def test_dropped_stream_without_request_id_leaves_nothing(
    server: RunningServer, model_file: bytes
) -> None:
    header = model_header("dropped", model_file)
    call, gate = open_stream(server, header, model_file, sent=5000)
    wait_until(lambda: server.leftovers() != [])
    call.cancel()
    gate.set()
    wait_until(lambda: server.leftovers() == [])
    assert_nothing_left(server, "dropped")


def test_second_stream_of_an_upload_waits_for_the_first(
    server: RunningServer, model_file: bytes
) -> None:
    request_id = str(uuid.uuid4())
    header = model_header("twice", model_file, request_id=request_id)
    call, gate = open_stream(server, header, model_file, sent=1000)
    wait_until(lambda: committed_bytes(server, request_id) == 1000)
    with pytest.raises(grpc.RpcError) as caught:
        server.models.UploadModel(model_messages(header, model_file, start=1000))
    assert ending(caught.value) == (grpc.StatusCode.ABORTED, "UPLOAD_IN_PROGRESS")
    call.cancel()
    gate.set()
    time.sleep(0.3)  # as in drop_stream
    server.models.UploadModel(model_messages(header, model_file, start=1000))


def test_dataset_is_described(server: RunningServer, dataset_file: Callable[..., bytes]) -> None:
    data = dataset_file(inputs=np.zeros((5, 1, 8, 8), np.float32), labels=np.arange(5) % 4)
    dataset = server.upload_dataset("five", data)
    assert dataset.sample_count == 5
    assert {spec.name: list(spec.shape) for spec in dataset.arrays} == {
        "inputs": [-1, 1, 8, 8],
        "labels": [-1],
    }
    request = dataset_service_pb2.GetDatasetRequest(name="datasets/five")
    assert server.datasets.GetDataset(request) == dataset


@pytest.mark.parametrize(
    ("arrays", "reason"),
    [
        ({"inputs": np.zeros((0, 2), np.float32)}, "DATASET_EMPTY"),
        (
            {"inputs": np.zeros((3, 2), np.float32), "labels": np.arange(2)},
            "DATASET_UNEQUAL_LENGTHS",
        ),
        ({"inputs": np.full((3, 2), np.nan, np.float32)}, "DATASET_NOT_FINITE"),
    ],
)
def test_bad_dataset_is_refused(
    server: RunningServer,
    dataset_file: Callable[..., bytes],
    arrays: dict[str, np.ndarray],
    reason: str,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_dataset("bad", dataset_file(**arrays))
    assert ending(caught.value) == (INVALID, reason)
    assert server.leftovers() == []


def test_pickled_array_is_never_loaded(server: RunningServer) -> None:
    buffer = io.BytesIO()
    np.savez(buffer, inputs=np.array([{"a": 1}], dtype=object))
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_dataset("bad", buffer.getvalue())
    assert caught.value.code() == INVALID
    assert server.leftovers() == []


def test_deleted_dataset_is_gone_with_its_file(
    server: RunningServer, dataset_file: Callable[..., bytes]
) -> None:
    data = dataset_file(inputs=np.full((4, 3), 7, np.float32))
    server.upload_dataset("gone", data)
    server.upload_dataset("twin", data)
    delete = dataset_service_pb2.DeleteDatasetRequest(
        name="datasets/gone", request_id=str(uuid.uuid4())
    )
    check = dataset_service_pb2.DeleteDatasetRequest(name="datasets/gone", validate_only=True)
    server.datasets.DeleteDataset(check)
    server.datasets.DeleteDataset(delete)
    server.datasets.DeleteDataset(delete)
    assert sha256(data) in server.blobs()  # the twin still needs it
    with pytest.raises(grpc.RpcError) as caught:
        server.datasets.GetDataset(dataset_service_pb2.GetDatasetRequest(name="datasets/gone"))
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "DATASET_NOT_FOUND")
    server.datasets.DeleteDataset(dataset_service_pb2.DeleteDatasetRequest(name="datasets/twin"))
    assert sha256(data) not in server.blobs()


def test_pages_follow_each_other_newest_first(
    server: RunningServer, dataset_file: Callable[..., bytes]
) -> None:
    data = dataset_file(inputs=np.ones((2, 2), np.float32))
    names = [server.upload_dataset(f"page-{number}", data).name for number in range(5)]
    found: list[str] = []
    token = ""
    while True:
        request = dataset_service_pb2.ListDatasetsRequest(page_size=2, page_token=token)
        page = server.datasets.ListDatasets(request)
        assert len(page.datasets) <= 2
        found += [dataset.name for dataset in page.datasets]
        token = page.next_page_token
        if not token:
            break
    assert found[:5] == names[::-1]
    assert len(found) == len(set(found))


@pytest.mark.parametrize("token", ["garbage", "AAAA", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"])
def test_foreign_page_token_is_refused(server: RunningServer, token: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.ListModels(model_service_pb2.ListModelsRequest(page_token=token))
    assert ending(caught.value) == (INVALID, "INVALID_PAGE_TOKEN")


def test_page_token_of_another_list_is_refused(
    server: RunningServer, dataset_file: Callable[..., bytes]
) -> None:
    data = dataset_file(inputs=np.ones((2, 2), np.float32))
    for number in range(2):
        server.upload_dataset(f"token-{number}", data)
    page = server.datasets.ListDatasets(dataset_service_pb2.ListDatasetsRequest(page_size=1))
    with pytest.raises(grpc.RpcError) as caught:
        server.models.ListModels(
            model_service_pb2.ListModelsRequest(page_token=page.next_page_token)
        )
    assert ending(caught.value) == (INVALID, "INVALID_PAGE_TOKEN")


def assert_nothing_left(server: RunningServer, model_id: str) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.models.GetModel(model_service_pb2.GetModelRequest(name=f"models/{model_id}"))
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert server.leftovers() == []


def open_stream(
    server: RunningServer, header: model_service_pb2.UploadModelHeader, data: bytes, *, sent: int
) -> tuple[Any, threading.Event]:
    """Starts an upload that stops after some bytes and stays open."""
    gate = threading.Event()

    def messages() -> Iterator[model_service_pb2.UploadModelRequest]:
        yield from model_messages(header, data[:sent])
        gate.wait(30)

    return server.models.UploadModel.future(messages()), gate


def drop_stream(
    server: RunningServer, header: model_service_pb2.UploadModelHeader, data: bytes, *, sent: int
) -> int:
    """Breaks an upload after some bytes and returns how many the server kept."""
    call, gate = open_stream(server, header, data, sent=sent)
    wait_until(lambda: committed_bytes(server, header.request_id) == sent)
    call.cancel()
    gate.set()
    time.sleep(0.3)  # until the server has seen the cancellation and released the upload
    return committed_bytes(server, header.request_id)


def committed_bytes(server: RunningServer, request_id: str) -> int:
    try:
        return server.models.GetUpload(upload_request(request_id)).committed_bytes
    except grpc.RpcError as error:
        if error.code() != grpc.StatusCode.NOT_FOUND:
            raise
        return 0


def upload_request(request_id: str) -> model_service_pb2.GetUploadRequest:
    return model_service_pb2.GetUploadRequest(name=f"uploads/{request_id}")


def wait_until(condition: Callable[[], bool]) -> None:
    for _ in range(500):
        if condition():
            return
        time.sleep(0.02)
    raise AssertionError("the condition never came true")
