"""The whole way from a model file to a program, on handwritten digits."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from smidgen.artifact import decode_artifact, encode_artifact
from smidgen.config import (
    CalibrationConfig,
    ConversionConfig,
    GateConfig,
    ObserverMethod,
    QATConfig,
)
from smidgen.engine import available_isas
from smidgen.errors import CalibrationError, EngineError, TrainingError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.formats.onnx_export import export_onnx, read_metadata
from smidgen.pipeline import (
    calibrate,
    convert,
    load_model,
    load_trained,
    plan,
    quantize,
    save_trained,
    train_qat,
)
from smidgen.profile import CalibrationProfile
from smidgen.program import Lookup, Program
from smidgen.progress import ConversionProgress, Stage
from smidgen.report import EvaluationData, QuantizationReport
from smidgen.verification import check_parity, random_samples

TRAINING, EVALUATION = slice(0, 1400), slice(1400, None)


class _Digits(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.depthwise = nn.Conv2d(16, 16, 3, padding=1, groups=16, bias=False)
        self.depthwise_norm = nn.BatchNorm2d(16)
        self.dropout = nn.Dropout(0.1)
        self.head = nn.Linear(16 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        y = nn.functional.relu6(self.depthwise_norm(self.depthwise(x)))
        x = nn.functional.max_pool2d(x + y, 2).flatten(1)
        z: torch.Tensor = self.head(self.dropout(x))
        return z


def _digits(rows: slice) -> Dataset:
    digits = load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))[rows]
    images = (digits.images[order, None] / 16).astype(np.float32)
    return Dataset({"inputs": images, "labels": digits.target[order].astype(np.int64)}, len(order))


@pytest.fixture(scope="module")
def model_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a model that was trained in float for a few epochs."""
    torch.manual_seed(0)
    net = _Digits()
    data = _digits(TRAINING)
    x, labels = (torch.from_numpy(np.array(data.arrays[n])) for n in ("inputs", "labels"))
    epochs, steps = 8, 22
    optimizer = torch.optim.Adam(net.parameters(), lr=5e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * steps)
    for _ in range(epochs):
        for rows in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(net(x[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    path = tmp_path_factory.mktemp("digits") / "digits.pt2"
    batch = torch.export.Dim("batch")
    exported = torch.export.export(
        net.eval(), (torch.zeros(2, 1, 8, 8),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(exported, path)
    return path


def test_digits_keep_their_accuracy(model_path: Path, tmp_path: Path) -> None:
    model = load_model(model_path)
    training, evaluation = _digits(TRAINING), _digits(EVALUATION)
    profile = calibrate(model, _digits(slice(0, 256)).batches(model.exported.inputs, 64))
    calibrated = convert(model, profile, evaluation=evaluation)
    trained = train_qat(model, profile, training, QATConfig(epochs=2))
    save_trained(trained, tmp_path / "trained")
    final = convert(model, profile, load_trained(tmp_path / "trained"), evaluation=evaluation)
    float_accuracy = calibrated.report.float_accuracy
    assert float_accuracy is not None
    assert float_accuracy > 0.95
    for conversion in (calibrated, final):
        report = conversion.report
        assert report.float_accuracy == float_accuracy
        assert report.quantized_accuracy is not None
        assert report.quantized_accuracy > float_accuracy - 0.01
        assert report.parity is not None
        assert report.parity.isas == available_isas()
        assert report.parity.max_difference == 0
        assert report.parity.fake_quantized is not None
        assert report.parity.fake_quantized.layers.max_lsb <= 1
        assert report.parity.fake_quantized.top1_agreement == 1.0
        assert report.parity.float_model is not None
        assert report.parity.float_model.sample_count == len(evaluation.arrays["inputs"])
        assert report.artifact_bytes == len(encode_artifact(conversion.program))
    assert calibrated.program.lineage["method"] == "ptq"
    assert final.program.lineage["method"] == "qat"
    again = convert(model, profile, trained, evaluation=evaluation)
    assert encode_artifact(again.program) == encode_artifact(final.program)


def test_report_has_every_node(model_path: Path) -> None:
    model = load_model(str(model_path))
    profile = calibrate(model, _digits(slice(0, 64)).batches(model.exported.inputs, 64))
    report = convert(model, profile, evaluation=_digits(slice(0, 8))).report
    assert [(node.op, node.reason) for node in report.nodes] == [
        ("conv2d", ""),
        ("batch_norm", "FOLDED"),
        ("relu", "FUSED"),
        ("conv2d", ""),
        ("batch_norm", "FOLDED"),
        ("relu6", "FUSED"),
        ("add", ""),
        ("max_pool", ""),
        ("flatten", ""),
        ("dropout", "REMOVED"),
        ("linear", ""),
    ]
    assert all(node.is_quantized == (node.reason == "") for node in report.nodes)
    for node in report.nodes:
        assert (node.output_scale > 0) == node.is_quantized
        assert (node.sqnr_db is not None) == node.is_quantized
        assert node.sqnr_db is None or node.sqnr_db > 20
    head = report.nodes[-1]
    assert head.module_path == "head"
    assert head.float_bytes == 4 * (256 * 10 + 10)
    assert head.quantized_bytes == 256 * 10 + 8 * 10


def test_plan_is_the_report_without_numbers(model_path: Path) -> None:
    model = load_model(model_path)
    profile = calibrate(model, _digits(slice(0, 64)).batches(model.exported.inputs, 64))
    bare, scaled, full = plan(model), plan(model, profile), convert(model, profile).report
    assert bare.parity is None
    assert all(node.output_scale == 0 for node in bare.nodes)
    assert scaled.nodes == full.nodes
    assert (
        tuple(replace(n, output_scale=0.0, output_zero_point=0) for n in full.nodes) == bare.nodes
    )


def test_quantize_in_one_call(model_path: Path) -> None:
    model = load_model(model_path)
    data = _digits(slice(0, 100))
    images = np.array(data.arrays["inputs"], np.float32)
    by_dataset = quantize(model_path, data)
    by_array = quantize(str(model_path), images)
    by_name = quantize(model_path, {model.exported.inputs[0].name: images})
    encoded = encode_artifact(by_dataset.program)
    assert encode_artifact(by_array.program) == encode_artifact(by_name.program) == encoded
    assert decode_artifact(encoded).steps == by_dataset.program.steps
    config = QATConfig(epochs=1, fine_tune_epochs=0)
    trained = quantize(model_path, data, training=data, config=config, evaluation=data)
    assert trained.program.lineage["method"] == "qat"
    assert trained.report.quantized_accuracy is not None
    assert trained.report.evaluation is EvaluationData.DATASET
    held_to = ConversionConfig(gate=GateConfig(max_drop=1.0))
    gated = quantize(model_path, data, training=data, config=config, conversion=held_to)
    assert gated.report.gate is not None
    assert gated.report.gate.sample_count == round(0.1 * data.sample_count)
    assert gated.report.evaluation is EvaluationData.HELD_OUT
    assert QuantizationReport.from_dict(gated.report.to_dict()) == gated.report


def test_lineage_names_the_parents(model_path: Path) -> None:
    model = load_model(model_path)
    profile = calibrate(model, _digits(slice(0, 64)).batches(model.exported.inputs, 64))
    told: list[ConversionProgress] = []
    conversion = convert(model, profile, lineage={"job": "jobs/7"}, on_progress=told.append)
    lineage = conversion.program.lineage
    assert told == [ConversionProgress(Stage.CONVERT), ConversionProgress(Stage.VERIFY)]
    assert lineage["model_sha256"] == model.exported.sha256
    assert lineage["calibration_method"] == "min_max"
    assert lineage["activations"] == "static"
    assert lineage["job"] == "jobs/7"
    assert lineage["calibration_samples"] == "64"
    assert lineage["calibration_batches"] == "1"
    assert not [key for key in lineage if key.startswith("qat.")]


def test_lineage_of_a_trained_program_has_the_options_in_every_file(
    model_path: Path, tmp_path: Path
) -> None:
    model = load_model(model_path)
    data = _digits(slice(0, 64))
    calibration = CalibrationConfig(ObserverMethod.MOVING_AVERAGE, averaging_constant=0.3)
    profile = calibrate(model, data.batches(model.exported.inputs, 32), calibration)
    config = QATConfig(epochs=1, fine_tune_epochs=0, learning_rate=2e-3, seed=7)
    save_trained(train_qat(model, profile, data, config), tmp_path / "trained")
    kept = CalibrationProfile.from_json(profile.to_json())

    program = convert(model, kept, load_trained(tmp_path / "trained")).program

    stated = {key: value for key, value in program.lineage.items() if "sha256" not in key}
    assert stated == {
        "method": "qat",
        "activations": "static",
        "calibration_method": "moving_average",
        "calibration_samples": "64",
        "calibration_batches": "2",
        "averaging_constant": "0.3",
        "qat.epochs": "1",
        "qat.fine_tune_epochs": "0",
        "qat.batch_size": "32",
        "qat.learning_rate": "0.002",
        "qat.fine_tune_learning_rate": "0.0002",
        "qat.task_loss": "cross_entropy",
        "qat.quantization_loss_weight": "0.5",
        "qat.evaluation_fraction": "0.1",
        "qat.seed": "7",
        "qat.activations": "observed",
        "qat.loss.label_smoothing": "0.0",
        "qat.loss.distance": "null",
        "qat.loss.temperature": "null",
        "qat.loss.weight_start": "0.0",
        "qat.loss.weight_warm_up_steps": "0",
        "qat.loss.features": "[]",
        "qat.stages.warm_up_steps": "0",
        "qat.stages.freeze_observers_at": "1.0",
        "qat.stages.freeze_batch_norm_at": "1.0",
        "qat.stages.fine_tune": "frozen",
        "qat.optimizer.kind": "adam",
        "qat.optimizer.weight_decay": "0.0",
        "qat.optimizer.momentum": "0.9",
        "qat.optimizer.schedule": "cosine",
        "qat.optimizer.decay_epochs": "2",
        "qat.optimizer.decay_factor": "0.1",
        "qat.optimizer.gradient_clip": "null",
        "qat.optimizer.ema_decay": "null",
        "qat.budget.steps": "null",
        "qat.budget.seconds": "null",
        "qat.budget.patience": "null",
    }
    assert decode_artifact(encode_artifact(program)).lineage == program.lineage
    exported = read_metadata(export_onnx(program))
    assert {key: exported[f"lineage.{key}"] for key in program.lineage} == program.lineage


def test_parts_of_another_model_are_refused(
    model_path: Path, import_model: Callable[..., FloatModel]
) -> None:
    model = load_model(model_path)
    data = _digits(slice(0, 64))
    profile = calibrate(model, data.batches(model.exported.inputs, 64))
    config = QATConfig(epochs=1, fine_tune_epochs=0)
    trained = train_qat(model, profile, data, config)
    with pytest.raises(CalibrationError) as by_profile:
        convert(model, replace(profile, model_sha256="0" * 64))
    assert by_profile.value.reason == "PROFILE_MODEL_MISMATCH"
    with pytest.raises(TrainingError) as by_digest:
        convert(model, profile, replace(trained, model_sha256="0" * 64))
    assert by_digest.value.reason == "TRAINED_MODEL_MISMATCH"
    with pytest.raises(TrainingError) as by_state:
        convert(model, profile, replace(trained, state={}))
    assert by_state.value.reason == "INVALID_TRAINED_MODEL"


def test_fixed_batch_size(import_model: Callable[..., FloatModel]) -> None:
    torch.manual_seed(0)
    model = import_model(_Digits(), (1, 8, 8), is_batch_dynamic=False)
    data = _digits(slice(0, 33))
    inputs = model.exported.inputs
    profile = calibrate(model, _digits(slice(0, 32)).batches(inputs, 2))
    report = convert(model, profile, evaluation=data).report
    assert report.parity is not None
    assert report.parity.sample_count == 2
    assert report.quantized_accuracy is not None


def test_difference_of_engine_and_reference_is_an_error(
    model_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = load_model(model_path)
    profile = calibrate(model, _digits(slice(0, 64)).batches(model.exported.inputs, 64))
    program = convert(model, profile).program

    def off_by_one(program: Program, inputs: object) -> dict[str, np.ndarray]:
        return {
            step.output: np.zeros(1, np.uint8)
            for step in program.steps
            if not isinstance(step, Lookup)
        }

    monkeypatch.setattr("smidgen.verification.interpret", off_by_one)
    with pytest.raises(EngineError, match="differs from the reference") as caught:
        check_parity(program, random_samples(program, 2))
    assert caught.value.reason == "PARITY_FAILED"
