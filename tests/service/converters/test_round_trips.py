"""What converters write can be read back, and every enum value has a counterpart."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from google.protobuf.duration_pb2 import Duration
from hypothesis import given
from hypothesis import strategies as st

from smidgen.client.reports import decode_report
from smidgen.client.requests import encode_precision, encode_preprocessing, encode_qat_config
from smidgen.config import (
    Augmentation,
    BudgetConfig,
    DistanceKind,
    Extent,
    FeatureDistance,
    FineTune,
    ImageLayout,
    LayerPrecision,
    LossConfig,
    ObserverMethod,
    OptimizerConfig,
    OptimizerKind,
    Override,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
    RangeSource,
    Resampling,
    Schedule,
    StageConfig,
    TaskLoss,
    WeightBits,
)
from smidgen.errors import InvalidConfigError
from smidgen.progress import Stage
from smidgen.report import (
    Distance,
    EvaluationData,
    FakeQuantizedParity,
    FloatParity,
    GateReport,
    NodeReport,
    ParityCertificate,
    PrecisionChange,
    PrecisionSearch,
    PrecisionTrial,
    QuantizationReport,
)
from smidgen.tensor_spec import TensorSpec
from smidgen.v1 import (
    job_service_pb2,
    precision_pb2,
    preprocessing_pb2,
    tensor_pb2,
)
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service.converters import calibrations, conversion, jobs, precision, training
from smidgen_service.converters.preprocessing import (
    augmentation_from_message,
    preprocessing_from_message,
)
from smidgen_service.converters.reports import report_to_message
from smidgen_service.converters.scalars import duration, encoded_duration, request_key, timestamp
from smidgen_service.converters.tensors import (
    spec_from_message,
    spec_to_message,
    tensor_head,
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
    message = tensor_pb2.Tensor.FromString(tensor_head(tensor.name, tensor.dtype, tensor.shape))
    message.data = bytes(tensor.data)
    assert tensors_from_message([message]) == (tensor,)
    spec = TensorSpec("x", dtype, (None, 3))
    assert spec_from_message(spec_to_message(spec)) == spec


@given(st.floats(0, 1e9) | st.floats(0, 0.01))
def test_encoded_durations_are_those_of_protobuf(seconds: float) -> None:
    found = encoded_duration(seconds)
    assert Duration.FromString(found[1:]) == duration(seconds)
    assert found[0] == len(found) - 1
    assert duration(seconds).ToNanoseconds() == round(seconds * 1e9)
    assert duration(1.25) == Duration(seconds=1, nanos=250_000_000)


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


def test_every_option_of_training_has_a_counterpart() -> None:
    for table, enum, choices in (
        (training.LOSSES, pb.TaskLoss, TaskLoss),
        (training.DISTANCES, pb.DistanceKind, DistanceKind),
        (training.FINE_TUNES, pb.FineTune, FineTune),
        (training.OPTIMIZERS, pb.OptimizerKind, OptimizerKind),
        (training.SCHEDULES, pb.Schedule, Schedule),
    ):
        assert set(table) == set(enum.values())
        assert set(table.values()) - {None} == set(choices)


@pytest.mark.parametrize(
    "config",
    [
        QATConfig(),
        QATConfig(
            epochs=3,
            fine_tune_learning_rate=0.5,
            task_loss=TaskLoss.NONE,
            loss=LossConfig(
                distance=DistanceKind.KL,
                temperature=2.0,
                weight_start=0.25,
                weight_warm_up_steps=7,
                features=(FeatureDistance("a.*", 0.5), FeatureDistance("b")),
            ),
            stages=StageConfig(5, 0.0, 0.5, FineTune.WITHOUT_FAKE_QUANTIZATION),
            optimizer=OptimizerConfig(
                OptimizerKind.SGD, 0.01, 0.0, Schedule.STEP, 3, 0.5, 1.5, 0.0
            ),
            budget=BudgetConfig(steps=9, seconds=1.5, patience=2),
        ),
        QATConfig(task_loss=TaskLoss.CROSS_ENTROPY, loss=LossConfig(label_smoothing=0.1)),
        QATConfig(activations=RangeSource.LEARNED),
    ],
)
def test_what_the_client_writes_is_what_the_server_trains(config: QATConfig) -> None:
    assert training.qat_config(encode_qat_config(config)) == config


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.QATConfig(optimizer=pb.OptimizerConfig(momentum=0)), "optimizer.momentum"),
        (pb.QATConfig(optimizer=pb.OptimizerConfig(decay_epochs=5)), "optimizer.decay_epochs"),
        (
            pb.QATConfig(fine_tune_epochs=0, fine_tune_learning_rate=0.1),
            "fine_tune_learning_rate",
        ),
    ],
)
def test_options_without_effect_are_refused(message: pb.QATConfig, field: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        training.qat_config(message)
    assert caught.value.reason == "OPTION_NOT_APPLICABLE"
    assert caught.value.metadata["field"] == field


def test_too_many_features_are_refused_before_they_are_read() -> None:
    features = [pb.FeatureDistance()] * 65
    with pytest.raises(InvalidArgumentError) as caught:
        training.qat_config(pb.QATConfig(loss=pb.LossConfig(features=features)))
    assert caught.value.reason == "TOO_MANY_FEATURES"


def test_calibration_header() -> None:
    header = pb.CalibrateHeader(model="models/m", method=pb.OBSERVER_METHOD_MOVING_AVERAGE)
    request = calibrations.calibration_request(header)
    assert request.config.method is ObserverMethod.MOVING_AVERAGE
    assert request.config.averaging_constant == 0.1
    assert request.config.percentile == 99.99
    assert request.dataset_id is None
    assert request.base_ids == ()


def test_every_method_is_on_the_wire() -> None:
    for method in ObserverMethod:
        number = getattr(pb, f"OBSERVER_METHOD_{method.name}")
        header = pb.CalibrateHeader(model="models/m", method=number)
        assert calibrations.calibration_request(header).config.method is method


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


PRECISIONS = [
    PrecisionConfig(),
    PrecisionConfig(
        LayerPrecision(WeightBits.INT4, 0),
        (
            Override("layer4.*", LayerPrecision()),
            Override("head", LayerPrecision(WeightBits.INT4, 256)),
        ),
    ),
]


@pytest.mark.parametrize("config", PRECISIONS)
def test_precision_round_trips(config: PrecisionConfig) -> None:
    assert precision.precision_config(encode_precision(config)) == config
    assert PrecisionConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_groups_have_a_default() -> None:
    message = precision_pb2.PrecisionConfig(
        default=precision_pb2.LayerPrecision(weights=precision_pb2.WEIGHT_BITS_INT4)
    )
    expected = PrecisionConfig(LayerPrecision(WeightBits.INT4, 128))
    assert precision.precision_config(message) == expected
    assert precision.precision_config(precision_pb2.PrecisionConfig()) == PrecisionConfig()


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
    assert not report_to_message(full).parity.HasField("fake_quantized")
    assert not report_to_message(full).parity.HasField("float_model")


def test_certificates_come_back_from_messages_and_json() -> None:
    fake = FakeQuantizedParity(4, Distance(1, 3, 9), "v2", Distance(5, 8, 9), top1_agreement=0.0)
    certificates = [
        ParityCertificate(4, 0, ("avx2",), 0, 1 << 40, fake, FloatParity(9, 0.5, 31.0)),
        ParityCertificate(4, 0, ("avx2",), 0, 7, replace(fake, top1_agreement=None)),
        ParityCertificate(4, 0, ("avx2",), 0, 7, None, FloatParity(9)),
    ]
    for certificate in certificates:
        report = QuantizationReport(nodes=(), float_bytes=4, parity=certificate)
        assert decode_report(report_to_message(report)) == report
        assert QuantizationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


@pytest.mark.parametrize(
    "gate", [GateReport(9, 0.01, -0.25), GateReport(9, 0.0, 0.0, 20.0, 31.5), GateReport(9)]
)
def test_limits_come_back_from_messages_and_json(gate: GateReport) -> None:
    report = QuantizationReport(
        nodes=(), float_bytes=4, gate=gate, evaluation=EvaluationData.HELD_OUT
    )
    assert decode_report(report_to_message(report)) == report
    assert QuantizationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_searches_come_back_from_messages_and_json() -> None:
    search = PrecisionSearch(
        changes=(
            PrecisionChange("v1", "body.0", "int4", "int8", 9.5, None),
            PrecisionChange("v2", "", "int8", "float", None, 0.0),
        ),
        trials=(
            PrecisionTrial("start", (), 0.25, None, holds=False),
            PrecisionTrial("lift", ("v1", "v2"), None, 31.0, holds=True),
        ),
        is_complete=False,
    )
    report = QuantizationReport(nodes=(), float_bytes=4, search=search)
    assert decode_report(report_to_message(report)) == report
    assert QuantizationReport.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_reports_of_earlier_releases_are_read() -> None:
    document = QuantizationReport((), 4, parity=ParityCertificate(4, 0, ("avx2",))).to_dict()
    for field in ("differing_bytes", "compared_bytes", "fake_quantized", "float_model"):
        del document["parity"][field]
    del document["gate"], document["search"]
    assert QuantizationReport.from_dict(document).gate is None
    assert QuantizationReport.from_dict(document).parity == ParityCertificate(4, 0, ("avx2",))


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
