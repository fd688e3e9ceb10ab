"""int4 weights from the float model to the artifact, after calibration and in training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.artifact import decode_artifact, encode_artifact
from smidgen.config import (
    Activations,
    LayerPrecision,
    Override,
    PrecisionConfig,
    QATConfig,
    WeightBits,
)
from smidgen.engine import Engine
from smidgen.errors import InvalidConfigError, TrainingError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.pipeline import calibrate, convert, load_trained, plan, save_trained, train_qat
from smidgen.profile import CalibrationProfile
from smidgen.program import WeightPacking
from smidgen.qat.prepare import prepare_qat

ImportModel = Callable[..., FloatModel]
INT4 = PrecisionConfig(LayerPrecision(WeightBits.INT4, 64))


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 16, 3, padding=1, bias=False)
        self.stem_norm = nn.BatchNorm2d(16)
        self.body = nn.Conv2d(16, 32, 3, padding=1, bias=False)
        self.body_norm = nn.BatchNorm2d(32)
        self.neck = nn.Linear(32, 24)
        self.head = nn.Linear(24, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.stem_norm(self.stem(x)))
        x = torch.relu(self.body_norm(self.body(x))).mean((2, 3))
        y: torch.Tensor = self.head(torch.relu(self.neck(x)))
        return y


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (1, 6, 6))


@pytest.fixture(scope="module")
def data() -> Dataset:
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 96)
    images = rng.standard_normal((96, 1, 6, 6)) + labels[:, None, None, None]
    return Dataset({"inputs": images.astype(np.float32), "labels": labels}, 96)


@pytest.fixture(scope="module")
def profile(model: FloatModel, data: Dataset) -> CalibrationProfile:
    return calibrate(model, [{"x": data.arrays["inputs"]}])


def test_layers_between_others_are_packed(
    model: FloatModel, profile: CalibrationProfile, data: Dataset
) -> None:
    conversion = convert(model, profile, precision=INT4, evaluation=data)
    program = conversion.program
    assert list(program.packing.values()) == [WeightPacking(64), WeightPacking(64)]
    bits = {node.module_path: node.weight_bits for node in conversion.report.nodes}
    found = {path: bits[path] for path in ("stem", "body", "neck", "head")}
    assert found == {"stem": 8, "body": 4, "neck": 4, "head": 8}
    assert conversion.report.parity is not None
    assert conversion.report.parity.max_difference == 0


def test_report_counts_packed_bytes(model: FloatModel, profile: CalibrationProfile) -> None:
    report = convert(model, profile, precision=INT4).report
    (body,) = (node for node in report.nodes if node.module_path == "body")
    # 144 weights in 3 groups for each of 32 channels, and scale and bias.
    assert body.quantized_bytes == 32 * (72 + 3 + 8)
    planned = plan(model, profile, INT4)
    assert [n.weight_bits for n in planned.nodes] == [n.weight_bits for n in report.nodes]
    assert [n.quantized_bytes for n in planned.nodes] == [n.quantized_bytes for n in report.nodes]


def test_weights_come_back_from_the_artifact(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    program = convert(model, profile, precision=INT4).program
    read = decode_artifact(encode_artifact(program))
    for name, value in program.constants.items():
        np.testing.assert_array_equal(read.constants[name], value)
    plain = encode_artifact(replace(program, packing={}))
    assert len(plain) - len(encode_artifact(program)) > 2000


def test_dynamic_linear_layers_are_packed_too(
    model: FloatModel, profile: CalibrationProfile
) -> None:
    config = PrecisionConfig(overrides=(Override("neck", LayerPrecision(WeightBits.INT4, 0)),))
    conversion = convert(model, profile, precision=config, activations=Activations.DYNAMIC)
    assert list(conversion.program.packing.values()) == [WeightPacking(0)]


def test_training_for_int4_is_kept_and_converted(
    model: FloatModel, profile: CalibrationProfile, data: Dataset, tmp_path: Path
) -> None:
    config = QATConfig(epochs=8, batch_size=16, learning_rate=3e-3)
    trained = train_qat(model, profile, data, config, precision=INT4)
    path = tmp_path / "trained.safetensors"
    save_trained(trained, path)
    read = load_trained(path)
    assert read.precision == INT4
    conversion = convert(model, profile, read)
    assert len(conversion.program.packing) == 2
    assert trained.best_epoch > 0

    prepared = prepare_qat(model.graph, profile.ranges, INT4)
    prepared.load_state_dict(dict(read.state))
    images = torch.from_numpy(np.array(data.arrays["inputs"]))
    with torch.no_grad():
        expected = prepared.eval()(images).numpy()
    found = Engine(conversion.program).run({"x": images.numpy()})["output"]
    step = profile.ranges[next(reversed(profile.ranges))].qparams.scale
    assert np.abs(found - expected).max() <= 4 * step


def test_a_trained_model_has_a_precision_of_its_own(
    model: FloatModel, profile: CalibrationProfile, data: Dataset
) -> None:
    trained = train_qat(model, profile, data, QATConfig(epochs=1, fine_tune_epochs=0))
    with pytest.raises(InvalidConfigError, match="leave precision out") as caught:
        convert(model, profile, trained, precision=INT4)
    assert caught.value.reason == "PRECISION_GIVEN_TWICE"
    agreeing = convert(model, profile, trained, precision=PrecisionConfig())
    assert agreeing.program.packing == {}


def test_trained_models_of_version_1_are_read(
    model: FloatModel, profile: CalibrationProfile, data: Dataset, tmp_path: Path
) -> None:
    trained = train_qat(model, profile, data, QATConfig(epochs=1, fine_tune_epochs=0))
    path = tmp_path / "trained.safetensors"
    save_trained(trained, path)
    content = path.read_bytes()
    length = int.from_bytes(content[:8], "little")
    header = content[8 : 8 + length].decode()
    start = header.index(r",\"precision\"")
    older = header[:start] + header[header.index('}"', start) :]
    older = older.replace(r"format_version\":2", r"format_version\":1")
    path.write_bytes(
        len(older.encode()).to_bytes(8, "little") + older.encode() + content[8 + length :]
    )
    assert load_trained(path).precision == PrecisionConfig()


def test_trained_models_with_an_unknown_precision_are_refused(
    model: FloatModel, profile: CalibrationProfile, data: Dataset, tmp_path: Path
) -> None:
    trained = train_qat(model, profile, data, QATConfig(epochs=1, fine_tune_epochs=0))
    path = tmp_path / "trained.safetensors"
    save_trained(trained, path)
    path.write_bytes(path.read_bytes().replace(rb"group_size\":128", rb"group_size\":129"))
    with pytest.raises(TrainingError) as caught:
        load_trained(path)
    assert caught.value.reason == "INVALID_TRAINED_MODEL"
