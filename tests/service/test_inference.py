"""Inference through a real socket: the answer, and every input that is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.artifact import decode_artifact
from smidgen.program import interpret
from smidgen.v1 import inference_service_pb2, model_service_pb2, tensor_pb2
from tests.service.running_server import (
    RunningServer,
    array,
    ending,
    start_server,
    tensor,
)

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SMALL = "models/small"


@pytest.fixture(scope="module")
def artifact(server: RunningServer, model_file: bytes, images: np.ndarray) -> bytes:
    server.upload_model("small", model_file)
    with pytest.raises(grpc.RpcError) as caught:
        server.infer(SMALL, tensor(images[:1]))
    unconverted = (grpc.StatusCode.FAILED_PRECONDITION, "MODEL_NOT_CONVERTED")
    assert ending(caught.value) == unconverted
    calibration = server.calibrate(SMALL, images)
    version = server.convert(SMALL, calibration=calibration.name).convert.model_version
    request = model_service_pb2.DownloadArtifactRequest(name=version)
    return b"".join(piece.data for piece in server.models.DownloadArtifact(request))


@pytest.mark.parametrize("batch", [1, 3, 17])
def test_answer_equals_the_reference_interpreter(
    server: RunningServer, artifact: bytes, images: np.ndarray, batch: int
) -> None:
    answer = server.infer(SMALL, tensor(images[:batch]))
    expected = interpret(decode_artifact(artifact), {"image": images[:batch]})
    np.testing.assert_array_equal(array(answer.outputs[0]), expected["output"])
    assert answer.model_version == "models/small/versions/1"
    assert answer.isa in ("portable", "avx2", "avxvnni", "avx512vnni", "amx")
    assert answer.compute_time.ToNanoseconds() > 0
    assert answer.queue_time.ToNanoseconds() > 0


def test_version_and_outputs_can_be_named(
    server: RunningServer, artifact: bytes, images: np.ndarray
) -> None:
    name = "models/small/versions/1"
    plain = server.infer(name, tensor(images[:2], name="image"))
    named = server.infer(name, tensor(images[:2]), output_names=[plain.outputs[0].name])
    assert named.outputs == plain.outputs


def bad_inputs() -> Iterator[Any]:
    good = np.zeros((2, 1, 8, 8), np.float32)
    nan = good.copy()
    nan[0, 0, 0, 0] = np.nan
    infinite = good.copy()
    infinite[1, 0, 7, 7] = -np.inf
    mismatch = "TENSOR_SHAPE_MISMATCH"
    yield "none", (), "INPUT_MISSING"
    yield "name", (tensor(good, name="other"),), "INPUT_UNKNOWN"
    yield "twice", (tensor(good), tensor(good)), "TENSOR_DUPLICATE"
    yield "shape", (tensor(np.zeros((1, 1, 7, 8), np.float32)),), mismatch
    yield "rank", (tensor(np.zeros(64, np.float32)),), mismatch
    yield "ranks", (tensor(good, shape=[1] * 9),), mismatch
    yield "empty", (tensor(good[:0]),), mismatch
    yield "dtype", (tensor(good.astype(np.int64)),), "TENSOR_DTYPE_MISMATCH"
    unspecified = tensor(good, data_type=tensor_pb2.DATA_TYPE_UNSPECIFIED)
    yield "unspecified", (unspecified,), "TENSOR_DTYPE_MISMATCH"
    yield "short", (tensor(good, data=good.tobytes()[4:]),), "TENSOR_LENGTH_MISMATCH"
    yield "no_bytes", (tensor(good, data=b""),), "TENSOR_LENGTH_MISMATCH"
    yield "nan", (tensor(nan),), "TENSOR_NOT_FINITE"
    yield "infinity", (tensor(infinite),), "TENSOR_NOT_FINITE"


@pytest.mark.parametrize(
    ("inputs", "reason"), [pytest.param(*case, id=name) for name, *case in bad_inputs()]
)
def test_bad_input_is_refused(
    server: RunningServer, artifact: bytes, inputs: tuple[tensor_pb2.Tensor, ...], reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.infer(SMALL, *inputs)
    assert ending(caught.value) == (INVALID, reason)


def test_calls_of_known_layout_are_checked_and_answered_as_the_first_one(
    server: RunningServer, artifact: bytes, images: np.ndarray
) -> None:
    # Such calls are not parsed, and short ones make no arrays.
    expected = interpret(decode_artifact(artifact), {"image": images[:32]})["output"]
    for index in range(32):
        answer = server.infer(SMALL, tensor(images[index : index + 1]))
        np.testing.assert_array_equal(array(answer.outputs[0]), expected[index : index + 1])
        assert answer.compute_time.ToNanoseconds() > 0
        named = server.infer(SMALL, tensor(images[index : index + 1]), output_names=["output"])
        assert named.outputs == answer.outputs
    wrong = images[:1].copy()
    wrong[0, 0, 3, 4] = np.inf
    with pytest.raises(grpc.RpcError, match=r"inf at flat index 28") as caught:
        server.infer(SMALL, tensor(wrong))
    assert ending(caught.value) == (INVALID, "TENSOR_NOT_FINITE")
    with pytest.raises(grpc.RpcError) as caught:
        server.infer(SMALL, tensor(images[:1]), output_names=["output", "output"])
    assert ending(caught.value) == (INVALID, "OUTPUT_DUPLICATE")


@pytest.mark.parametrize(
    ("name", "code", "reason"),
    [
        ("models/absent", grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND"),
        ("models/small/versions/99", grpc.StatusCode.NOT_FOUND, "MODEL_VERSION_NOT_FOUND"),
        ("models/small/versions/0", INVALID, "INVALID_NAME"),
        ("models/small/versions/", INVALID, "INVALID_NAME"),
        ("small", INVALID, "INVALID_NAME"),
        ("", INVALID, "INVALID_NAME"),
        ("models/../small", INVALID, "INVALID_NAME"),
    ],
)
def test_bad_name_is_refused(
    server: RunningServer, images: np.ndarray, name: str, code: grpc.StatusCode, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.infer(name, tensor(images[:1]))
    assert ending(caught.value) == (code, reason)


def test_unknown_output_is_refused(
    server: RunningServer, artifact: bytes, images: np.ndarray
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.infer(SMALL, tensor(images[:1]), output_names=["other"])
    assert ending(caught.value) == (INVALID, "OUTPUT_UNKNOWN")


def test_many_requests_at_once_get_their_own_answers(
    server: RunningServer, artifact: bytes, images: np.ndarray
) -> None:
    requests = [
        inference_service_pb2.InferRequest(name=SMALL, inputs=[tensor(images[i : i + 1])])
        for i in range(64)
    ]
    calls = [server.inference.Infer.future(request, timeout=60) for request in requests]
    answers = np.concatenate([array(call.result().outputs[0]) for call in calls])
    expected = interpret(decode_artifact(artifact), {"image": images[:64]})
    np.testing.assert_array_equal(answers, expected["output"])


def test_full_queue_is_refused_with_a_delay(
    tmp_path: Path, artifact: bytes, images: np.ndarray
) -> None:
    server = start_server(
        tmp_path / "store", "--max-concurrent-inferences", "1", "--max-queued-inferences", "0"
    )
    try:
        server.upload_model("small", artifact, is_artifact=True)
        big = np.repeat(images, 60, axis=0)
        request = inference_service_pb2.InferRequest(name=SMALL, inputs=[tensor(big)])
        calls = [server.inference.Infer.future(request, timeout=60) for _ in range(16)]
        codes = [call.code() for call in calls]
        assert grpc.StatusCode.OK in codes
        refused = [call for call in calls if call.code() != grpc.StatusCode.OK]
        assert refused
        for call in refused:
            assert ending(call) == (grpc.StatusCode.RESOURCE_EXHAUSTED, "QUEUE_FULL")
            trailers = dict(call.trailing_metadata())
            assert int(trailers["grpc-retry-pushback-ms"]) > 0
        assert 'outcome="rejected"' in server.metrics()
    finally:
        server.stop()


def test_damaged_artifact_is_never_served(
    tmp_path: Path, artifact: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store")
    try:
        server.upload_model("small", artifact, is_artifact=True)
        blob = next((server.data_dir / "blobs" / "sha256").glob("*/*"))
        blob.chmod(0o644)
        blob.write_bytes(artifact[:-1] + bytes([artifact[-1] ^ 1]))
        loss = (grpc.StatusCode.DATA_LOSS, "STORED_BYTES_DAMAGED")
        with pytest.raises(grpc.RpcError) as caught:
            server.infer(SMALL, tensor(images[:1]))
        assert ending(caught.value) == loss
        with pytest.raises(grpc.RpcError) as caught:
            list(
                server.models.DownloadArtifact(
                    model_service_pb2.DownloadArtifactRequest(name=SMALL)
                )
            )
        assert ending(caught.value) == loss
    finally:
        server.stop()


def test_deleted_model_answers_no_more(
    server: RunningServer, artifact: bytes, images: np.ndarray
) -> None:
    server.upload_model("fleeting", artifact, is_artifact=True)
    server.infer("models/fleeting", tensor(images[:1]))
    assert 'model="fleeting"' in server.metrics()
    server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name="models/fleeting"))
    with pytest.raises(grpc.RpcError) as caught:
        server.infer("models/fleeting", tensor(images[:1]))
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "MODEL_NOT_FOUND")
    assert 'model="fleeting"' not in server.metrics()
    server.infer(SMALL, tensor(images[:1]))  # the same file, under another name
