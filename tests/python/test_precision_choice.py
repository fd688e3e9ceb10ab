"""Conversions that search for the precision of layers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import nn

from smidgen.artifact import encode_artifact
from smidgen.calibration import calibrate
from smidgen.config import (
    ConversionConfig,
    GateConfig,
    LayerPrecision,
    Override,
    PrecisionConfig,
    QATConfig,
    SearchConfig,
    WeightBits,
)
from smidgen.config.precision import INT8
from smidgen.errors import GateError, InvalidConfigError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.pipeline import convert, train_qat
from smidgen.profile import CalibrationProfile
from smidgen.progress import ConversionProgress, Stage

COUNT = 120
ALL_INT4 = PrecisionConfig(INT8, (Override("*", LayerPrecision(WeightBits.INT4)),))


class _Net(nn.Module):
    """The channels between two convolutions differ a thousandfold, which one scale spoils."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(2, 8, 3)
        self.fragile = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.last = nn.Conv2d(8, 8, 1)
        self.head = nn.Linear(8 * 36, 6)
        with torch.no_grad():
            spread = 10.0 ** torch.linspace(-3, 0, 8)
            self.first.weight *= spread.reshape(-1, 1, 1, 1)
            self.fragile.weight /= spread.reshape(-1, 1, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.fragile(torch.relu(self.first(x)))
        y: torch.Tensor = self.head(torch.relu(self.last(x)).flatten(1))
        return y


@pytest.fixture(scope="module")
def model(import_model: Callable[..., FloatModel]) -> FloatModel:
    torch.manual_seed(3)
    return import_model(_Net(), (2, 8, 8))


@pytest.fixture(scope="module")
def samples() -> NDArray[np.float32]:
    return np.random.default_rng(0).normal(size=(COUNT, 2, 8, 8)).astype(np.float32)


@pytest.fixture(scope="module")
def profile(model: FloatModel, samples: NDArray[np.float32]) -> CalibrationProfile:
    return calibrate(model, [{"x": samples}])


def searched(gate: GateConfig) -> ConversionConfig:
    return ConversionConfig(gate=gate, search=SearchConfig())


def _fails(model: FloatModel, profile: CalibrationProfile, data: Dataset, gate: GateConfig) -> str:
    with pytest.raises(GateError) as caught:
        convert(model, profile, evaluation=data, config=ConversionConfig(gate=gate))
    return caught.value.metadata["found"]


def test_a_gate_that_fails_is_reached(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    data = Dataset({"x": samples}, COUNT)
    plain = convert(model, profile, evaluation=data).report.parity
    assert plain is not None
    assert plain.float_model is not None
    assert plain.float_model.output_sqnr_db is not None
    gate = GateConfig(min_sqnr_db=plain.float_model.output_sqnr_db + 3.0)
    assert float(_fails(model, profile, data, gate)) < gate.min_sqnr_db  # type: ignore[operator]
    told: list[ConversionProgress] = []
    found = convert(model, profile, evaluation=data, config=searched(gate), on_progress=told.append)
    report = found.report
    assert report.gate is not None
    assert report.search is not None
    assert report.search.is_complete
    assert report.search.trials[0].reason == "start"
    assert not report.search.trials[0].holds
    holding = [trial for trial in report.search.trials if trial.holds]
    assert holding[-1].sqnr_db == report.gate.sqnr_db
    assert set(holding[-1].nodes) == {change.node for change in report.search.changes}
    kept = {
        node.module_path for node in report.nodes if node.reason == "FLOAT" and node.weight_bits
    }
    assert kept == {change.module_path for change in report.search.changes} != set()
    assert all(c.before == "int8" and c.after == "float" for c in report.search.changes)
    assert report.parity is not None
    assert report.parity.fake_quantized is not None
    assert report.parity.fake_quantized.layers.max_lsb <= 1
    during = [entry for entry in told if entry.stage is Stage.SEARCH]
    counts = [entry.program_count for entry in during]
    assert counts == list(range(len(report.search.trials) + 1))
    assert {entry.most_programs for entry in during} == {SearchConfig().evaluations}
    assert during[0].message == ""
    assert during[1].message.startswith("start: 0 layers with more bits, drop ")
    assert during[1].message.endswith(f"{report.search.trials[0].sqnr_db:.2f} dB, fails")
    assert "lift: 1 layer with more bits" in during[2].message
    assert [entry.progress for entry in told] == sorted(entry.progress for entry in told)
    assert [entry.stage for entry in (told[0], told[-1])] == [Stage.CONVERT, Stage.VERIFY]
    again = convert(model, profile, evaluation=data, config=searched(gate))
    assert encode_artifact(again.program) == encode_artifact(found.program)
    assert again.report == report


def test_int4_is_lifted_first_and_overrides_stay(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    data = Dataset({"x": samples}, COUNT)
    narrow = PrecisionConfig(LayerPrecision(WeightBits.INT4))

    def ratio(precision: PrecisionConfig) -> float:
        parity = convert(model, profile, evaluation=data, precision=precision).report.parity
        assert parity is not None
        assert parity.float_model is not None
        assert parity.float_model.output_sqnr_db is not None
        return parity.float_model.output_sqnr_db

    gate = GateConfig(min_sqnr_db=(ratio(narrow) + ratio(PrecisionConfig())) / 2)
    found = convert(model, profile, evaluation=data, config=searched(gate), precision=narrow).report
    assert found.search is not None
    changes = [(c.module_path, c.before, c.after) for c in found.search.changes]
    assert changes == [("last", "int4", "int8")]
    with pytest.raises(GateError, match="missed by") as caught:
        convert(model, profile, evaluation=data, config=searched(gate), precision=ALL_INT4)
    assert "programs tried" not in caught.value.message  # there was nothing to lift


def test_the_budget_ends_in_the_gate(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    data = Dataset({"x": samples}, COUNT)
    gate = GateConfig(min_sqnr_db=200.0)
    with pytest.raises(GateError, match="the best of 3 programs tried") as caught:
        convert(
            model,
            profile,
            evaluation=data,
            config=ConversionConfig(gate=gate, search=SearchConfig(evaluations=3)),
        )
    assert "let the precision be searched for" not in caught.value.message
    with pytest.raises(GateError, match="let the precision be searched for"):
        convert(model, profile, evaluation=data, config=ConversionConfig(gate=gate))


def test_trained_layers_are_lifted_with_their_weights(
    model: FloatModel, profile: CalibrationProfile, samples: NDArray[np.float32]
) -> None:
    data = Dataset({"x": samples, "labels": np.arange(COUNT) % 6}, COUNT)
    config = QATConfig(epochs=1, fine_tune_epochs=0, learning_rate=1e-6)
    trained = train_qat(model, profile, data, config)
    plain = convert(model, profile, trained, evaluation=data).report.parity
    assert plain is not None
    assert plain.float_model is not None
    assert plain.float_model.output_sqnr_db is not None
    gate = GateConfig(min_sqnr_db=plain.float_model.output_sqnr_db + 1.0)
    found = convert(model, profile, trained, evaluation=data, config=searched(gate))
    assert found.report.search is not None
    assert found.report.search.changes
    assert found.program.lineage["method"] == "qat"


def test_a_search_needs_a_gate() -> None:
    with pytest.raises(InvalidConfigError) as caught:
        ConversionConfig(search=SearchConfig())
    assert caught.value.reason == "SEARCH_NEEDS_GATE"
