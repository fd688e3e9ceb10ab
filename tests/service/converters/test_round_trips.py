"""What converters write can be read back, and every enum value has a counterpart."""

from __future__ import annotations

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration

from smidgen.client.requests import encode_preprocessing
from smidgen.config import (
    Augmentation,
    Extent,
    ImageLayout,
    ObserverMethod,
    Preprocessing,
    QATConfig,
    Resampling,
    TaskLoss,
)
from smidgen.progress import Stage
from smidgen.report import NodeReport, ParityCertificate, QuantizationReport
from smidgen.tensor_spec import TensorSpec
from smidgen.v1 import job_service_pb2, preprocessing_pb2
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service.converters import calibrations, conversion, jobs, training
from smidgen_service.converters.preprocessing import (
    augmentation_from_message,
    preprocessing_from_message,
)
from smidgen_service.converters.reports import report_to_message
from smidgen_service.converters.scalars import duration, request_key, timestamp
from smidgen_service.converters.tensors import (
    spec_from_message,
    spec_to_message,
    tensor_to_message,
    tensors_from_message,
)
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.tensors import raw_tensor
from smidgen_service.store.records import (
    JobEvent,
    JobFailure,
    JobKind,
    JobRecord,
    JobState,
    TrainResult,
)


@pytest.mark.parametrize("dtype", ["float32", "uint8", "int8", "int32", "int64"])
def test_tensors_round_trip(dtype: str) -> None:
    tensor = raw_tensor("x", np.arange(6).reshape(2, 3).astype(dtype))
    assert tensors_from_message([tensor_to_message(tensor)]) == (tensor,)
    spec = TensorSpec("x", dtype, (None, 3))
    assert spec_from_message(spec_to_message(spec)) == spec


@pytest.mark.parametrize(
    "preprocessing",
    [
        Preprocessing(),
        Preprocessing(resize=Extent(4, 7), mean=(0.1, 0.2, 0.3), std=(0.5,), scale=1.0),
        Preprocessing(
            input="x",
            channels=1,
            shorter_side=9,
            crop=Extent(8, 9),
            resampling=Resampling.BICUBIC,
            layout=ImageLayout.NHWC,
        ),
    ],
    ids=["default", "resize", "crop"],
)
def test_preprocessings_round_trip(preprocessing: Preprocessing) -> None:
    message = encode_preprocessing(preprocessing)
    assert message is not None
    assert preprocessing_from_message(message) == preprocessing


def test_empty_preprocessings_have_the_defaults() -> None:
    assert preprocessing_from_message(preprocessing_pb2.Preprocessing()) == Preprocessing()
    assert augmentation_from_message(preprocessing_pb2.Augmentation()) == Augmentation()


def test_times_keep_their_microseconds() -> None:
    assert timestamp(1_700_000_000_123_456).ToMicroseconds() == 1_700_000_000_123_456
    assert duration(1.5).ToNanoseconds() == 1_500_000_000


def test_every_enum_value_has_a_counterpart() -> None:
    assert set(jobs.KINDS) == set(JobKind)
    assert set(jobs.STATES) == set(JobState)
    assert set(jobs.STAGES) == {None, *Stage}
    for table, enum in (
        (jobs.KINDS, job_service_pb2.JobKind),
        (jobs.STATES, job_service_pb2.JobState),
    ):
        assert set(table.values()) == set(enum.values()) - {0}
    assert set(jobs.STAGES.values()) == set(job_service_pb2.JobStage.values())


def test_absent_options_take_their_defaults() -> None:
    assert training.qat_config(pb.QATConfig()) == QATConfig()


def test_present_zeros_are_kept() -> None:
    config = training.qat_config(
        pb.QATConfig(
            fine_tune_epochs=0,
            quantization_loss_weight=0,
            evaluation_fraction=0,
            task_loss=pb.TASK_LOSS_MSE,
            seed=-3,
        )
    )
    assert (config.fine_tune_epochs, config.quantization_loss_weight) == (0, 0.0)
    assert (config.evaluation_fraction, config.seed) == (0.0, -3)
    assert config.task_loss is TaskLoss.MSE


def test_calibration_header() -> None:
    header = pb.CalibrateHeader(model="models/m", method=pb.OBSERVER_METHOD_MOVING_AVERAGE)
    request = calibrations.calibration_request(header)
    assert request.config.method is ObserverMethod.MOVING_AVERAGE
    assert request.config.averaging_constant == 0.1
    assert request.dataset_id is None


def test_waiting_is_no_part_of_a_conversion() -> None:
    request_id = "8d2f0c54-73fb-4b0d-9b66-7a7c0f6d3e21"
    short, long = (
        pb.ConvertRequest(
            name="models/m",
            calibration="calibrations/c",
            wait=Duration(seconds=seconds, nanos=500_000_000),
            request_id=request_id,
        )
        for seconds in (1, 2)
    )
    first, second = (conversion.convert_request(message) for message in (short, long))
    assert first.key == second.key
    assert (first.wait_s, second.wait_s) == (1.5, 2.5)


def test_request_keys_tell_bodies_apart() -> None:
    request_id = "8d2f0c54-73fb-4b0d-9b66-7a7c0f6d3e21"
    keys = [
        request_key("M", pb.GetCalibrationRequest(name=name), request_id) for name in ("a", "b")
    ]
    assert keys[0] != keys[1]
    assert request_key("M", pb.GetCalibrationRequest(), "") is None
    with pytest.raises(InvalidArgumentError):
        request_key("M", pb.GetCalibrationRequest(), "1")


def test_report_keeps_absent_values_absent() -> None:
    nodes = (
        NodeReport("v0", "conv2d", True, sqnr_db=0.0),
        NodeReport("v1", "relu", False, reason="FUSED"),
    )
    message = report_to_message(QuantizationReport(nodes=nodes, float_bytes=4))
    assert [node.HasField("sqnr_db") for node in message.nodes] == [True, False]
    assert not message.HasField("parity")
    assert not message.HasField("float_accuracy")
    parity = ParityCertificate(4, 0, ("portable", "avx2"))
    full = QuantizationReport(nodes=nodes, float_bytes=4, parity=parity, float_accuracy=0.0)
    assert list(report_to_message(full).parity.isas) == ["portable", "avx2"]
    assert report_to_message(full).HasField("float_accuracy")


def test_failed_job() -> None:
    job = JobRecord(
        id="j",
        kind=JobKind.TRAIN_QAT,
        model_id="m",
        calibration_id="c",
        create_time=1,
        state=JobState.FAILED,
        failure=JobFailure("TrainingError", "TRAINING_DIVERGED", "text", {"step": "3"}),
    )
    message = jobs.job_to_message(job)
    assert message.error.code == 9
    assert message.error.reason == "TRAINING_DIVERGED"
    assert message.error.metadata["step"] == "3"
    assert message.WhichOneof("result") is None


def test_succeeded_job_and_event() -> None:
    job = JobRecord(
        id="j",
        kind=JobKind.TRAIN_QAT,
        model_id="m",
        calibration_id="c",
        create_time=1,
        state=JobState.SUCCEEDED,
        result=TrainResult(None, 0.0, 1.0, 2.0, 3, 4),
    )
    message = jobs.job_to_message(job)
    assert message.train_qat.step_count == 4
    assert not message.train_qat.HasField("float_accuracy")
    assert message.train_qat.HasField("accuracy")
    event = jobs.event_to_message(JobEvent(JobState.RUNNING, stage=Stage.QAT, task_loss=0.0))
    assert event.HasField("task_loss")
    assert not event.HasField("accuracy")
