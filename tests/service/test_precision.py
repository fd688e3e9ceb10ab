"""int4 weights through a real socket, and what is refused of them."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.artifact import load_artifact
from smidgen.program import WeightPacking
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2
from smidgen.v1 import precision_pb2 as pb
from tests.service.running_server import RunningServer, ending

INVALID = grpc.StatusCode.INVALID_ARGUMENT
SMALL = "models/small"
INT4 = pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT4)


def config(
    default: pb.LayerPrecision | None = None, **overrides: pb.LayerPrecision
) -> pb.PrecisionConfig:
    """Returns a message; underscores in the names of overrides stand for stars."""
    return pb.PrecisionConfig(
        default=default,
        overrides=[
            pb.PrecisionOverride(pattern=name.replace("_", "*"), precision=precision)
            for name, precision in overrides.items()
        ],
    )


@pytest.fixture(scope="module")
def calibration(
    server: RunningServer,
    model_file: bytes,
    images: np.ndarray,
    labels: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> str:
    server.upload_model("small", model_file)
    path = tmp_path_factory.mktemp("datasets") / "train.npz"
    np.savez(path, inputs=images, labels=labels)
    server.upload_dataset("train", path.read_bytes())
    return str(server.calibrate(SMALL, images).name)


def bits(job: jobs_pb.Job) -> dict[str, int]:
    """Returns the bits of each layer by module path."""
    nodes = job.convert.report.nodes or job.plan.nodes
    return {node.module_path: node.weight_bits for node in nodes if node.weight_bits}


def packing(server: RunningServer, job: jobs_pb.Job, folder: Path) -> list[WeightPacking]:
    """Returns how a job's artifact packs its weights."""
    request = model_service_pb2.DownloadArtifactRequest(name=job.convert.model_version)
    path = folder / "downloaded.smidgen"
    path.write_bytes(b"".join(piece.data for piece in server.models.DownloadArtifact(request)))
    return list(load_artifact(path).packing.values())


def test_conversion_packs_weights(server: RunningServer, calibration: str, tmp_path: Path) -> None:
    job = server.convert(SMALL, calibration=calibration, precision=config(INT4))
    assert bits(job) == {"body.0": 8, "body.3": 4, "body.7": 8}
    assert packing(server, job, tmp_path) == [WeightPacking(128)]


def test_training_is_converted_as_it_was_asked(
    server: RunningServer, calibration: str, tmp_path: Path
) -> None:
    narrow = pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT4, group_size=0)
    precision = config(None, _3=narrow)
    trained = server.wait_for(
        server.train(SMALL, calibration, "datasets/train", precision=precision).name
    )
    assert trained.state == jobs_pb.JOB_STATE_SUCCEEDED
    job = server.convert(SMALL, train_job=trained.name)
    assert bits(job) == {"body.0": 8, "body.3": 4, "body.7": 8}
    assert packing(server, job, tmp_path) == [WeightPacking(0)]
    plan = server.convert(SMALL, train_job=trained.name, validate_only=True)
    assert bits(plan) == {"body.0": 8, "body.3": 4, "body.7": 8}
    agreeing = server.convert(SMALL, train_job=trained.name, precision=precision)
    assert packing(server, agreeing, tmp_path) == [WeightPacking(0)]


def test_int8_asked_of_an_int4_training_is_refused(server: RunningServer, calibration: str) -> None:
    trained = server.wait_for(
        server.train(SMALL, calibration, "datasets/train", precision=config(INT4)).name
    )
    for asked, words in (
        (pb.PrecisionConfig(), "int8"),
        (config(pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT8)), "int8"),
        (
            config(pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT4, group_size=64)),
            "int4 with group_size 64",
        ),
        (
            config(INT4, body_=INT4),
            "int4 with group_size 128, but body* in int4 with group_size 128",
        ),
    ):
        for validate_only in (True, False):
            with pytest.raises(grpc.RpcError) as caught:
                server.convert(
                    SMALL, train_job=trained.name, precision=asked, validate_only=validate_only
                )
            assert ending(caught.value) == (INVALID, "PRECISION_GIVEN_TWICE")
            assert caught.value.details() == (
                f"precision is {words}, and the training was for int4 with group_size 128, which "
                "a conversion keeps; leave precision out, or train for the other one"
            )


def test_plans_tell_bits(server: RunningServer, calibration: str) -> None:
    precision = config(INT4, body_=pb.LayerPrecision(weights=pb.WEIGHT_BITS_INT8), _0=INT4)
    plan = server.convert(SMALL, calibration=calibration, precision=precision, validate_only=True)
    assert bits(plan) == {"body.0": 4, "body.3": 8, "body.7": 8}
    plan = server.train(
        SMALL, calibration, "datasets/train", precision=precision, validate_only=True
    )
    assert bits(plan) == {"body.0": 4, "body.3": 8, "body.7": 8}


@pytest.mark.parametrize("validate_only", [True, False])
def test_a_pattern_that_fits_nothing_is_refused(
    server: RunningServer, calibration: str, validate_only: bool
) -> None:
    fields = {"precision": config(None, stem=INT4), "validate_only": validate_only}
    with pytest.raises(grpc.RpcError) as converting:
        server.convert(SMALL, calibration=calibration, **fields)
    assert ending(converting.value) == (INVALID, "PATTERN_MATCHES_NOTHING")
    with pytest.raises(grpc.RpcError) as training:
        server.train(SMALL, calibration, "datasets/train", **fields)
    assert ending(training.value) == (INVALID, "PATTERN_MATCHES_NOTHING")


@pytest.mark.parametrize(
    ("precision", "reason"),
    [
        (config(pb.LayerPrecision(weights=9)), "INVALID_WEIGHT_BITS"),
        (config(pb.LayerPrecision(weights=-1)), "INVALID_WEIGHT_BITS"),
        (config(pb.LayerPrecision(group_size=1)), "INVALID_CONFIG"),
        (config(pb.LayerPrecision(group_size=-(2**31))), "INVALID_CONFIG"),
        (config(None, body=pb.LayerPrecision(weights=7)), "INVALID_WEIGHT_BITS"),
        (pb.PrecisionConfig(overrides=[pb.PrecisionOverride()]), "INVALID_CONFIG"),
        (pb.PrecisionConfig(overrides=[pb.PrecisionOverride(pattern="x" * 201)]), "INVALID_CONFIG"),
        (pb.PrecisionConfig(overrides=[pb.PrecisionOverride(pattern="*")] * 65), "INVALID_CONFIG"),
    ],
)
def test_bad_precisions_are_refused(
    server: RunningServer, calibration: str, precision: pb.PrecisionConfig, reason: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(SMALL, calibration=calibration, precision=precision)
    assert ending(caught.value) == (INVALID, reason)
    with pytest.raises(grpc.RpcError) as caught:
        server.train(SMALL, calibration, "datasets/train", precision=precision)
    assert ending(caught.value) == (INVALID, reason)
