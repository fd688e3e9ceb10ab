"""Limits of a trained model are measured on what its training held out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import grpc
import numpy as np
import pytest

from smidgen.v1 import (
    dataset_service_pb2,
    report_pb2,
    report_service_pb2,
    report_service_pb2_grpc,
)
from smidgen.v1 import optimization_service_pb2 as pb
from tests.service.running_server import RunningServer, ending

SMALL = "models/small"
GATE = pb.GateConfig(max_drop=1.0)
INVALID = grpc.StatusCode.INVALID_ARGUMENT


@dataclass(frozen=True)
class Trainings:
    """Jobs that have succeeded: one held samples out, one had a dataset for that, one neither."""

    calibration: str
    split: str
    named: str
    neither: str


@pytest.fixture(scope="module")
def trainings(
    server: RunningServer,
    model_file: bytes,
    images: np.ndarray,
    labels: np.ndarray,
    tmp_path_factory: pytest.TempPathFactory,
) -> Trainings:
    server.upload_model("small", model_file)
    path = tmp_path_factory.mktemp("datasets") / "data.npz"
    for name, part in (("train", slice(None)), ("test", slice(0, 20)), ("gone", slice(None))):
        np.savez(path, inputs=images[part], labels=labels[part])
        server.upload_dataset(name, path.read_bytes())
    calibration = server.calibrate(SMALL, images).name

    def train(dataset: str, fraction: float, evaluation: str = "") -> str:
        config = pb.QATConfig(
            epochs=1, fine_tune_epochs=0, batch_size=16, evaluation_fraction=fraction
        )
        job = server.train(
            SMALL, calibration, dataset, config=config, evaluation_dataset=evaluation
        )
        return str(server.wait_for(job.name).name)

    return Trainings(
        calibration,
        train("datasets/train", 0.25),
        train("datasets/train", 0.0, "datasets/test"),
        train("datasets/gone", 0.0),
    )


def report(server: RunningServer, job: str) -> report_service_pb2.Report:
    stub = report_service_pb2_grpc.ReportServiceStub(server.channel)
    return stub.GetReport(report_service_pb2.GetReportRequest(name=job))


def test_a_gate_is_measured_on_the_split(server: RunningServer, trainings: Trainings) -> None:
    job = server.convert(SMALL, train_job=trainings.split, gate=GATE)
    found = job.convert.report
    assert found.gate.sample_count == 24
    assert found.evaluation == report_pb2.EVALUATION_DATA_HELD_OUT
    assert found.HasField("quantized_accuracy")
    whole = report(server, job.name)
    assert whole.evaluation == report_pb2.EVALUATION_DATA_HELD_OUT
    assert whole.evaluation_dataset == "datasets/train"
    # The training has measured the float model on the same samples.
    assert found.float_accuracy == pytest.approx(whole.training.result.float_accuracy)


def test_it_is_measured_on_the_trainings_own_dataset(
    server: RunningServer, trainings: Trainings
) -> None:
    job = server.convert(SMALL, train_job=trainings.named, gate=GATE)
    assert job.convert.report.gate.sample_count == 20
    assert job.convert.report.evaluation == report_pb2.EVALUATION_DATA_DATASET
    assert report(server, job.name).evaluation_dataset == "datasets/test"


def test_named_data_comes_first(server: RunningServer, trainings: Trainings) -> None:
    job = server.convert(
        SMALL, train_job=trainings.split, gate=GATE, evaluation_dataset="datasets/test"
    )
    assert job.convert.report.gate.sample_count == 20
    assert job.convert.report.evaluation == report_pb2.EVALUATION_DATA_DATASET


def test_nothing_is_measured_without_need(server: RunningServer, trainings: Trainings) -> None:
    found = server.convert(SMALL, train_job=trainings.split).convert.report
    assert found.evaluation == report_pb2.EVALUATION_DATA_UNSPECIFIED
    assert not found.HasField("float_accuracy")


def test_without_such_samples_a_gate_needs_data(
    server: RunningServer,
    trainings: Trainings,
    images: np.ndarray,
    labels: np.ndarray,
    dataset_file: Callable[..., bytes],
) -> None:
    def refused(train_job: str) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.RpcError) as caught:
            server.convert(SMALL, train_job=train_job, gate=GATE)
        return ending(caught.value)

    assert refused(trainings.neither) == (INVALID, "GATE_NEEDS_EVALUATION")
    train = "datasets/train"
    server.datasets.DeleteDataset(dataset_service_pb2.DeleteDatasetRequest(name=train))
    assert refused(trainings.split) == (INVALID, "GATE_NEEDS_EVALUATION")
    # Another one of that name is not what the training held samples out of.
    server.upload_dataset("train", dataset_file(inputs=images, labels=labels))
    assert refused(trainings.split) == (INVALID, "GATE_NEEDS_EVALUATION")


@pytest.mark.parametrize("validate_only", [True, False])
def test_a_share_besides_an_evaluation_dataset_is_refused(
    server: RunningServer, trainings: Trainings, validate_only: bool
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.train(
            SMALL,
            trainings.calibration,
            "datasets/train",
            evaluation_dataset="datasets/test",
            config=pb.QATConfig(evaluation_fraction=0.3),
            validate_only=validate_only,
        )
    assert ending(caught.value) == (INVALID, "OPTION_NOT_APPLICABLE")
    assert caught.value.details() == (
        "evaluation_fraction is 0.3 and an evaluation dataset is given, besides which nothing is "
        "held out; leave one of the two out"
    )


@pytest.mark.parametrize("validate_only", [True, False])
def test_a_warm_up_of_a_million_steps_is_refused(
    server: RunningServer, trainings: Trainings, validate_only: bool
) -> None:
    stages = pb.StageConfig(warm_up_steps=1_000_000)
    config = pb.QATConfig(epochs=2, batch_size=8, stages=stages)
    with pytest.raises(grpc.RpcError) as caught:
        server.train(
            SMALL,
            trainings.calibration,
            "datasets/test",  # 20 samples, of which 2 are held out
            config=config,
            validate_only=validate_only,
        )
    assert ending(caught.value) == (INVALID, "WARM_UP_TOO_LONG")
    assert caught.value.details() == (
        "stages.warm_up_steps is 1000000, expected at most 3: there are 2 epochs of 2 steps and 1 "
        "of fine-tuning; warm up for fewer steps, or train for more"
    )
