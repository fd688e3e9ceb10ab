"""Calibrate through a real socket: what is refused, why, and that nothing stays behind."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.v1 import model_service_pb2, tensor_pb2
from smidgen.v1 import optimization_service_pb2 as pb
from tests.service.running_server import RunningServer, calibrate_messages, ending, tensor
from tests.service.test_uploads import wait_until

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SMALL = "models/small"


@pytest.fixture(scope="module", autouse=True)
def small_model(server: RunningServer, model_file: bytes) -> None:
    server.upload_model("small", model_file)


def test_batches_give_ranges(server: RunningServer, images: np.ndarray) -> None:
    calibration = server.calibrate(SMALL, images[:32], images[32:64])

    assert calibration.model == SMALL
    assert calibration.sample_count == 64
    assert calibration.batch_count == 2
    assert calibration.method == pb.OBSERVER_METHOD_MIN_MAX
    entry = next(entry for entry in calibration.ranges if entry.node == "image")
    assert entry.min == pytest.approx(images[:64].min())
    assert entry.max == pytest.approx(images[:64].max())
    assert entry.scale > 0
    assert 0 <= entry.zero_point <= 255
    request = pb.GetCalibrationRequest(name=calibration.name)
    assert server.optimization.GetCalibration(request) == calibration
    listed = server.optimization.ListCalibrations(pb.ListCalibrationsRequest()).calibrations
    assert calibration in listed
    assert server.leftovers() == []


def test_dataset_gives_the_same_ranges_as_its_batches(
    server: RunningServer, images: np.ndarray, dataset_file: Callable[..., bytes]
) -> None:
    server.upload_dataset("stored", dataset_file(inputs=images))
    stored = server.calibrate(SMALL, dataset="datasets/stored")
    streamed = server.calibrate(SMALL, images)
    assert stored.sample_count == len(images)
    assert stored.ranges == streamed.ranges


def test_bases_are_merged_and_chosen_anew_without_samples(
    server: RunningServer, images: np.ndarray
) -> None:
    first = server.calibrate(SMALL, images[:32], images[32:48])
    second = server.calibrate(SMALL, images[48:64])
    whole = server.calibrate(SMALL, images[:48], images[48:64])

    merged = server.calibrate(SMALL, base_calibrations=[second.name, first.name])
    assert (merged.sample_count, merged.batch_count) == (64, 3)
    assert merged.base_calibrations == [second.name, first.name]
    assert merged.ranges == whole.ranges
    assert histograms(server, merged) == histograms(server, whole)

    extended = server.calibrate(SMALL, images[48:64], base_calibrations=[first.name])
    assert extended.ranges == whole.ranges
    assert histograms(server, extended) == histograms(server, whole)

    method = pb.OBSERVER_METHOD_SQUARED_ERROR
    derived = server.calibrate(SMALL, base_calibrations=[whole.name], method=method)
    observed = server.calibrate(SMALL, images[:48], images[48:64], method=method)
    assert derived.method == method
    assert derived.ranges == observed.ranges != whole.ranges
    assert derived.sha256 == observed.sha256
    assert sum(entry.clipped_share for entry in derived.ranges) > 0
    assert server.leftovers() == []


def test_stored_data_extend_a_base(
    server: RunningServer, images: np.ndarray, dataset_file: Callable[..., bytes]
) -> None:
    server.upload_dataset("more", dataset_file(inputs=images[8:]))
    base = server.calibrate(SMALL, images[:8])
    extended = server.calibrate(SMALL, dataset="datasets/more", base_calibrations=[base.name])
    assert extended.ranges == server.calibrate(SMALL, images).ranges
    assert extended.sample_count == len(images)


def test_histograms_come_when_asked_for(server: RunningServer, images: np.ndarray) -> None:
    calibration = server.calibrate(
        SMALL, images, method=pb.OBSERVER_METHOD_PERCENTILE, percentile=90.0
    )
    assert calibration.percentile == 90.0
    assert not any(entry.HasField("histogram") for entry in calibration.ranges)
    for entry in histograms(server, calibration):
        counts = entry.histogram.counts
        assert sum(counts) > 0
        assert entry.histogram.low + entry.histogram.width * len(counts) >= entry.max
        assert entry.histogram.low <= entry.min
        assert entry.clipped_share <= 0.2


def histograms(server: RunningServer, calibration: pb.Calibration) -> list[pb.TensorRange]:
    request = pb.GetCalibrationRequest(name=calibration.name, include_histograms=True)
    return list(server.optimization.GetCalibration(request).ranges)


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"base_calibrations": ["calibrations/gone"]}, "NOT_FOUND", "CALIBRATION_NOT_FOUND"),
        ({"base_calibrations": ["c"]}, "INVALID_ARGUMENT", "INVALID_NAME"),
        ({"base_calibrations": ["calibrations/c"] * 17}, "INVALID_ARGUMENT", "TOO_MANY_BASES"),
        (
            {"base_calibrations": ["calibrations/c"], "method": pb.OBSERVER_METHOD_MOVING_AVERAGE},
            "INVALID_ARGUMENT",
            "METHOD_NEEDS_SAMPLES",
        ),
        ({"percentile": 50.0}, "INVALID_ARGUMENT", "INVALID_CONFIG"),
        ({"percentile": float("nan")}, "INVALID_ARGUMENT", "INVALID_CONFIG"),
    ],
)
def test_bad_bases_are_refused(
    server: RunningServer, fields: dict[str, Any], code: str, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(SMALL, **fields)
    assert ending(caught.value) == (grpc.StatusCode[code], reason)


def test_base_of_another_model_is_refused(
    server: RunningServer, model_file: bytes, images: np.ndarray
) -> None:
    server.upload_model("other", model_file)
    base = server.calibrate("models/other", images[:4])
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(SMALL, base_calibrations=[base.name])
    refused = (grpc.StatusCode.FAILED_PRECONDITION, "CALIBRATION_OF_OTHER_MODEL")
    assert ending(caught.value) == refused


def bad_batches() -> Iterator[Any]:
    good = np.zeros((2, 1, 8, 8), np.float32)
    not_finite = good.copy()
    not_finite[1, 0, 3, 3] = np.nan
    infinite = good.copy()
    infinite[0, 0, 0, 0] = np.inf
    mismatch = "TENSOR_SHAPE_MISMATCH"
    yield "shape", tensor(np.zeros((2, 1, 9, 8), np.float32)), mismatch
    yield "rank", tensor(np.zeros((2, 64), np.float32)), mismatch
    yield "no_samples", tensor(good[:0]), mismatch
    yield "negative_extent", tensor(good, shape=[-2, -1, 8, 8]), mismatch
    yield "huge_extent", tensor(good, shape=[2**62, 1, 8, 8]), "TENSOR_LENGTH_MISMATCH"
    yield "dtype", tensor(good.astype(np.uint8)), "TENSOR_DTYPE_MISMATCH"
    unspecified = tensor(good, data_type=tensor_pb2.DATA_TYPE_UNSPECIFIED)
    yield "unspecified", unspecified, "TENSOR_DTYPE_MISMATCH"
    yield "short", tensor(good, data=good.tobytes()[:-1]), "TENSOR_LENGTH_MISMATCH"
    yield "long", tensor(good, data=good.tobytes() + b"\0"), "TENSOR_LENGTH_MISMATCH"
    yield "name", tensor(good, name="other"), "INPUT_UNKNOWN"
    yield "nan", tensor(not_finite), "TENSOR_NOT_FINITE"
    yield "infinity", tensor(infinite), "TENSOR_NOT_FINITE"


@pytest.mark.parametrize(
    ("batch", "reason"), [pytest.param(*case, id=name) for name, *case in bad_batches()]
)
def test_bad_batch_is_refused(server: RunningServer, batch: tensor_pb2.Tensor, reason: str) -> None:
    before = count(server)
    with pytest.raises(grpc.RpcError) as caught:
        server.optimization.Calibrate(calibrate_messages(SMALL, batch))
    assert ending(caught.value) == (INVALID, reason)
    assert_nothing_new(server, before)


def test_later_bad_batch_is_refused(server: RunningServer, images: np.ndarray) -> None:
    before = count(server)
    bad = np.full((1, 1, 8, 8), np.nan, np.float32)
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(SMALL, images[:4], images[4:8], bad)
    assert ending(caught.value) == (INVALID, "TENSOR_NOT_FINITE")
    assert_nothing_new(server, before)


def test_batch_without_tensors_is_refused(server: RunningServer) -> None:
    messages = [
        pb.CalibrateRequest(header=pb.CalibrateHeader(model=SMALL)),
        pb.CalibrateRequest(batch=pb.CalibrationBatch()),
    ]
    with pytest.raises(grpc.RpcError) as caught:
        server.optimization.Calibrate(iter(messages))
    assert ending(caught.value) == (INVALID, "INPUT_MISSING")


def test_stream_without_batches_is_refused(server: RunningServer) -> None:
    before = count(server)
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(SMALL)
    assert ending(caught.value) == (INVALID, "NO_CALIBRATION_SAMPLES")
    assert_nothing_new(server, before)


def bad_headers() -> Iterator[Any]:
    missing = grpc.StatusCode.NOT_FOUND
    yield {"model": "models/absent"}, missing, "MODEL_NOT_FOUND"
    yield {"model": SMALL, "dataset": "datasets/absent"}, missing, "DATASET_NOT_FOUND"
    yield {"model": "small"}, INVALID, "INVALID_NAME"
    yield {"model": SMALL, "averaging_constant": 2.0}, INVALID, "INVALID_CONFIG"
    yield {"model": SMALL, "method": 77}, INVALID, "INVALID_OBSERVER_METHOD"


@pytest.mark.parametrize(("fields", "code", "reason"), list(bad_headers()))
def test_bad_header_is_refused(
    server: RunningServer,
    images: np.ndarray,
    fields: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(
            fields["model"], images[:2], **{k: fields[k] for k in fields.keys() - {"model"}}
        )
    assert ending(caught.value) == (code, reason)


def test_broken_stream_leaves_nothing(server: RunningServer, images: np.ndarray) -> None:
    before = count(server)
    gate = threading.Event()

    def messages() -> Iterator[pb.CalibrateRequest]:
        yield from calibrate_messages(SMALL, images[:8], images[8:16])
        gate.wait(30)

    call = server.optimization.Calibrate.future(messages())
    wait_until(lambda: server.leftovers() != [])  # the worker's scratch directory
    call.cancel()
    gate.set()
    wait_until(lambda: server.leftovers() == [])
    assert_nothing_new(server, before)


def test_a_stream_that_does_not_mark_its_promised_end_is_not_taken_for_whole(
    server: RunningServer, images: np.ndarray
) -> None:
    before = count(server)
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(SMALL, images[:8], images[8:16], marks_last=True)
    assert ending(caught.value) == (INVALID, "STREAM_INCOMPLETE")
    assert_nothing_new(server, before)
    messages = list(calibrate_messages(SMALL, images[:8], images[8:16], marks_last=True))
    messages[-1].is_last = True
    assert server.optimization.Calibrate(iter(messages)).sample_count == 16


def test_same_request_id_calibrates_once(server: RunningServer, images: np.ndarray) -> None:
    request_id = str(uuid.uuid4())
    first = server.calibrate(SMALL, images[:8], request_id=request_id)
    assert server.calibrate(SMALL, images[:8], request_id=request_id) == first
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(SMALL, images[8:16], request_id=request_id)
    assert ending(caught.value) == (INVALID, "REQUEST_ID_REUSED")


def test_validate_only_stores_nothing(server: RunningServer, images: np.ndarray) -> None:
    before = count(server)
    calibration = server.calibrate(SMALL, images[:8], validate_only=True)
    assert calibration.sample_count == 8
    assert_nothing_new(server, before)


def test_deleted_model_takes_its_calibrations_along(
    server: RunningServer, model_file: bytes, images: np.ndarray
) -> None:
    server.upload_model("brief", model_file)
    calibration = server.calibrate("models/brief", images[:4])
    server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name="models/brief"))
    with pytest.raises(grpc.RpcError) as caught:
        server.optimization.GetCalibration(pb.GetCalibrationRequest(name=calibration.name))
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "CALIBRATION_NOT_FOUND")


def count(server: RunningServer) -> int:
    return len(server.optimization.ListCalibrations(pb.ListCalibrationsRequest()).calibrations)


def assert_nothing_new(server: RunningServer, before: int) -> None:
    assert count(server) == before
    assert server.leftovers() == []
