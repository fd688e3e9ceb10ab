"""Convert with equalization and bias correction, through a real socket."""

from __future__ import annotations

from typing import Any

import grpc
import numpy as np
import pytest

from smidgen.v1 import job_service_pb2, model_service_pb2
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen.v1 import precision_pb2 as precision_pb
from tests.service.running_server import RunningServer, ending

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SMALL = "models/small"
ALL = pb.PostTrainingConfig(equalize=True, correct_bias=True, round_weights=True)


@pytest.fixture(scope="module")
def calibration(
    server: RunningServer,
    model_file: bytes,
    images: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    server.upload_model("small", model_file)
    folder = tmp_path_factory.mktemp("datasets")
    # Labels of no class of the model are no matter to what needs no labels.
    np.savez(folder / "samples.npz", inputs=images, labels=np.full(len(images), 1000))
    np.savez(folder / "colour.npz", inputs=np.zeros((4, 3, 8, 8), np.float32))
    for name in ("samples", "colour"):
        server.upload_dataset(name, (folder / f"{name}.npz").read_bytes())
    return server.calibrate(SMALL, images).name


def test_weights_are_made_ready(server: RunningServer, calibration: str) -> None:
    plain = server.convert(SMALL, calibration=calibration)
    fields = {"post_training": ALL, "calibration_dataset": "datasets/samples"}
    first = server.convert(SMALL, calibration=calibration, **fields)
    assert first.state == job_service_pb2.JOB_STATE_SUCCEEDED, first
    assert first.convert.report.parity.max_difference == 0
    assert first.convert.sha256 != plain.convert.sha256
    second = server.convert(SMALL, calibration=calibration, **fields)
    assert second.convert.sha256 == first.convert.sha256
    request = model_service_pb2.GetModelVersionRequest(name=first.convert.model_version)
    assert server.models.GetModelVersion(request).sha256 == first.convert.sha256


@pytest.mark.parametrize(
    ("fields", "code", "reason"),
    [
        ({"post_training": ALL}, INVALID, "POST_TRAINING_NEEDS_SAMPLES"),
        ({"calibration_dataset": "datasets/samples"}, INVALID, "CALIBRATION_DATASET_UNUSED"),
        (
            {"post_training": ALL, "calibration_dataset": "datasets/colour"},
            INVALID,
            "DATASET_SHAPE_MISMATCH",
        ),
        (
            {"post_training": ALL, "calibration_dataset": "datasets/absent"},
            grpc.StatusCode.NOT_FOUND,
            "DATASET_NOT_FOUND",
        ),
        ({"post_training": ALL, "calibration_dataset": "samples"}, INVALID, "INVALID_NAME"),
    ],
)
def test_bad_options_are_refused(
    server: RunningServer,
    calibration: str,
    fields: dict[str, Any],
    code: grpc.StatusCode,
    reason: str,
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, calibration=calibration, **fields)
    assert ending(caught.value) == (code, reason)


def test_trained_weights_are_left_alone(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(
            SMALL,
            train_job="jobs/j",
            post_training=ALL,
            calibration_dataset="datasets/samples",
        )
    assert ending(caught.value) == (INVALID, "POST_TRAINING_AND_QAT")


@pytest.mark.parametrize("validate_only", [False, True])
def test_weights_of_other_bits_are_refused_before_a_job(
    server: RunningServer, calibration: str, validate_only: bool
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(
            SMALL,
            calibration=calibration,
            post_training=ALL,
            calibration_dataset="datasets/samples",
            precision=precision_pb.PrecisionConfig(
                default=precision_pb.LayerPrecision(weights=precision_pb.WEIGHT_BITS_INT4)
            ),
            validate_only=validate_only,
        )
    assert ending(caught.value) == (INVALID, "POST_TRAINING_WITH_PRECISION")
