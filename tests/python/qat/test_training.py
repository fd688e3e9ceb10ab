"""The training loop: determinism, stopping, checkpoints, errors and what it keeps."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from smidgen.calibration import calibrate
from smidgen.config import (
    BudgetConfig,
    FeatureDistance,
    FineTune,
    LossConfig,
    OptimizerConfig,
    OptimizerKind,
    QATConfig,
    StageConfig,
    TaskLoss,
)
from smidgen.errors import CalibrationError, InvalidDatasetError, TrainingError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stage, Stopped, TrainingProgress
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.trained import load_trained, save_trained
from smidgen.qat.training import train_qat

ImportModel = Callable[..., FloatModel]

CLASSES = 3
CONFIG = QATConfig(epochs=2, fine_tune_epochs=1, batch_size=8, evaluation_fraction=0.2, seed=3)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.dropout = nn.Dropout(0.5)
        self.head = nn.Linear(6 * 4 * 4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.relu(self.norm(self.conv(x)))
        x = nn.functional.max_pool2d(x, 2).flatten(1)
        y: torch.Tensor = self.head(self.dropout(x))
        return y


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    """Images whose class is the frequency of their stripes."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, CLASSES, 120)
    columns = np.arange(8)[None, None, None, :]
    stripes = np.cos(columns * (labels.reshape(-1, 1, 1, 1) + 0.5))
    noise = generator.normal(scale=0.3, size=(120, 1, 8, 8))
    return Dataset({"x": (stripes + noise).astype(np.float32), "labels": labels}, 120)


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (1, 8, 8))


@pytest.fixture(scope="module")
def profile(model: FloatModel, dataset: Dataset) -> CalibrationProfile:
    return calibrate(model, dataset.batches(model.exported.inputs, 40))


def test_same_seed_gives_the_same_bytes(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> None:
    before = copy.deepcopy(model.graph.state_dict())
    was_deterministic = torch.are_deterministic_algorithms_enabled()
    for name in ("first", "second"):
        torch.rand(3)  # the global generator must not matter
        save_trained(train_qat(model, profile, dataset, CONFIG), tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    assert all(torch.equal(before[name], value) for name, value in model.graph.state_dict().items())
    assert not any(module.training for module in model.graph.modules())
    assert torch.are_deterministic_algorithms_enabled() == was_deterministic


def test_training_improves_and_reports(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    reports: list[TrainingProgress] = []
    config = QATConfig(epochs=5, batch_size=8, evaluation_fraction=0.2, learning_rate=1e-2)
    trained = train_qat(model, profile, dataset, config, on_progress=reports.append)
    assert trained.float_accuracy is not None
    assert trained.accuracy is not None
    assert trained.accuracy > max(trained.float_accuracy, 0.9)
    assert trained.step_count == reports[-1].step == reports[-1].total_steps == 6 * 12
    assert reports[-1].progress == 1.0
    assert [r.stage for r in reports if r.accuracy is not None] == [Stage.QAT] * 5 + [
        Stage.FINE_TUNE
    ]
    assert [r.epoch for r in reports if r.accuracy is not None] == list(range(1, 7))
    assert all(b.step - a.step <= 10 for a, b in itertools.pairwise(reports))
    assert reports[0].learning_rate == pytest.approx(1e-2, rel=0.1)
    assert reports[-1].learning_rate == pytest.approx(1e-3)
    kept = max(r.accuracy for r in reports if r.accuracy is not None)
    assert trained.accuracy == kept
    assert reports[-1].task_loss < reports[0].task_loss


def _fitted(dataset: Dataset) -> _Net:
    """Returns a net that was trained in float."""
    torch.manual_seed(0)
    net = _Net()
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-2)
    x = torch.from_numpy(dataset.arrays["x"])
    labels = torch.from_numpy(dataset.arrays["labels"])
    for _ in range(40):
        optimizer.zero_grad()
        nn.functional.cross_entropy(net(x), labels).backward()
        optimizer.step()
    return net


def test_start_is_kept_if_training_only_harms(import_model: ImportModel, dataset: Dataset) -> None:
    model = import_model(_fitted(dataset), (1, 8, 8))
    profile = calibrate(model, dataset.batches(model.exported.inputs, 40))
    wrong = (np.asarray(dataset.arrays["labels"], np.int64) + 1) % CLASSES
    harmful = Dataset({"x": dataset.arrays["x"], "labels": wrong}, 120)
    config = QATConfig(epochs=1, learning_rate=2e-2, batch_size=8, quantization_loss_weight=0.0)
    trained = train_qat(model, profile, harmful, config, evaluation=dataset)
    assert trained.best_epoch == 0
    assert trained.step_count == 2 * 120 // 8
    assert trained.accuracy is not None
    assert trained.accuracy > 0.95


def test_labels_are_not_needed_to_do_what_the_float_model_does(
    import_model: ImportModel, dataset: Dataset
) -> None:
    model = import_model(_fitted(dataset), (1, 8, 8))
    unlabelled = Dataset({"x": dataset.arrays["x"]}, 120)
    profile = calibrate(model, unlabelled.batches(model.exported.inputs, 40))
    loss = LossConfig(temperature=2.0, features=(FeatureDistance("conv"),))
    config = QATConfig(epochs=2, batch_size=8, task_loss=TaskLoss.NONE, loss=loss)
    reports: list[TrainingProgress] = []
    trained = train_qat(model, profile, unlabelled, config, on_progress=reports.append)
    assert (trained.accuracy, trained.float_accuracy, trained.task_loss) == (None, None, 0.0)
    assert trained.agreement is not None
    assert trained.agreement >= 0.9
    assert all(report.feature_loss > 0 and report.task_loss == 0 for report in reports)
    assert [r.agreement for r in reports if r.is_evaluated] == [
        point.agreement for point in trained.curve.evaluations[1:]
    ]


def test_every_step_is_in_the_curve(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> None:
    loss = LossConfig(label_smoothing=0.1, weight_warm_up_steps=12)
    config = replace(CONFIG, loss=loss)
    trained = train_qat(model, profile, dataset, config)
    curve = trained.curve
    assert curve.column("step").tolist() == list(range(1, 37))
    assert curve.column("loss_weight")[[0, 6, 12, 35]].tolist() == [0.0, 0.25, 0.5, 0.5]
    assert (curve.column("task_loss") > 0).all()
    assert (curve.column("quantization_loss") > 0).all()
    assert [(point.step, point.epoch, point.stage) for point in curve.evaluations] == [
        (0, 0, Stage.LOAD),
        (12, 1, Stage.QAT),
        (24, 2, Stage.QAT),
        (36, 3, Stage.FINE_TUNE),
    ]
    best = max(point.accuracy for point in curve.evaluations if point.accuracy is not None)
    assert trained.accuracy == best
    save_trained(trained, tmp_path / "trained")
    loaded = load_trained(tmp_path / "trained")
    assert np.array_equal(loaded.curve.steps, curve.steps)
    assert loaded.curve.evaluations == curve.evaluations


@pytest.mark.parametrize("kind", list(OptimizerKind))
def test_every_optimizer_and_the_average_learn(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, kind: OptimizerKind
) -> None:
    optimizer = OptimizerConfig(kind, weight_decay=1e-4, gradient_clip=5.0, ema_decay=0.5)
    rate = 0.05 if kind is OptimizerKind.SGD else 1e-2
    config = replace(CONFIG, epochs=5, learning_rate=rate, optimizer=optimizer)
    trained = train_qat(model, profile, dataset, config)
    assert trained.accuracy is not None
    assert trained.accuracy > 0.9


@pytest.mark.parametrize("kind", list(FineTune))
def test_stage_that_evaluates_best_is_kept(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, kind: FineTune
) -> None:
    stages = StageConfig(
        warm_up_steps=3, freeze_observers_at=0.5, freeze_batch_norm_at=0.6, fine_tune=kind
    )
    config = replace(CONFIG, epochs=4, learning_rate=1e-2, stages=stages)
    reports: list[TrainingProgress] = []
    trained = train_qat(model, profile, dataset, config, on_progress=reports.append)
    stages_seen = [point.stage for point in trained.curve.evaluations]
    assert stages_seen == [
        Stage.LOAD,
        Stage.QAT,
        Stage.QAT,
        Stage.FREEZE,
        Stage.FREEZE,
        Stage.FINE_TUNE,
    ]
    best = trained.curve.evaluations[trained.best_epoch]
    assert (best.stage, best.accuracy) == (trained.best_stage, trained.accuracy)
    assert best.accuracy == max(p.accuracy or 0.0 for p in trained.curve.evaluations)


def test_ranges_stay_where_they_were_frozen(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    stages = StageConfig(freeze_observers_at=0.0, freeze_batch_norm_at=0.0)
    config = replace(CONFIG, epochs=2, learning_rate=1e-2, stages=stages)
    trained = train_qat(model, profile, dataset, config)
    start = prepare_qat(model.graph, profile.ranges).state_dict()
    assert trained.best_epoch > 0
    frozen = ("ends", "running_mean", "running_var")
    for name, value in trained.state.items():
        if name.endswith(frozen):
            assert torch.equal(value, start[name]), name


def test_step_budget_ends_with_the_best_so_far(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    for steps, epochs in ((5, [0, 1]), (12, [0, 1]), (13, [0, 1, 2])):
        config = replace(CONFIG, budget=BudgetConfig(steps=steps))
        reports: list[TrainingProgress] = []
        trained = train_qat(model, profile, dataset, config, on_progress=reports.append)
        assert trained.step_count == steps
        assert [point.epoch for point in trained.curve.evaluations] == epochs
        assert reports[-1].progress == 1.0


def test_time_budget_counts_by_the_clock(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    seconds = itertools.count()
    config = replace(CONFIG, budget=BudgetConfig(seconds=20))
    trained = train_qat(model, profile, dataset, config, clock=lambda: float(next(seconds)))
    assert 12 < trained.step_count < 24
    assert trained.curve.evaluations[-1].step == trained.step_count


def test_patience_goes_on_to_fine_tuning(import_model: ImportModel, dataset: Dataset) -> None:
    model = import_model(_fitted(dataset), (1, 8, 8))
    profile = calibrate(model, dataset.batches(model.exported.inputs, 40))
    wrong = (np.asarray(dataset.arrays["labels"], np.int64) + 1) % CLASSES
    harmful = Dataset({"x": dataset.arrays["x"], "labels": wrong}, 120)
    config = QATConfig(
        epochs=9,
        fine_tune_epochs=5,
        learning_rate=2e-2,
        batch_size=8,
        quantization_loss_weight=0.0,
        budget=BudgetConfig(patience=2),
    )
    trained = train_qat(model, profile, harmful, config, evaluation=dataset)
    assert trained.best_epoch == 0
    assert [(point.epoch, point.stage) for point in trained.curve.evaluations] == [
        (0, Stage.LOAD),
        (1, Stage.QAT),
        (2, Stage.QAT),
        (3, Stage.FINE_TUNE),
        (4, Stage.FINE_TUNE),
    ]


def test_stop_is_asked_before_every_step_and_leaves_a_checkpoint(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> None:
    asked = 0

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > 15

    path = tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        train_qat(model, profile, dataset, CONFIG, should_stop=should_stop, checkpoint=path)
    assert asked == 16
    assert [entry.name for entry in tmp_path.iterdir()] == ["checkpoint"]
    steps: list[int] = []
    trained = train_qat(
        *(model, profile, dataset, CONFIG),
        resume=path,
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps[0] == 20
    assert trained.step_count == 36


def test_trained_model_survives_its_file(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> None:
    trained = train_qat(model, profile, dataset, CONFIG)
    save_trained(trained, tmp_path / "trained")
    loaded = load_trained(tmp_path / "trained")
    assert loaded.summary == trained.summary
    assert loaded.profile == profile.without_statistics()
    assert loaded.model_sha256 == model.exported.sha256
    assert loaded.state.keys() == trained.state.keys()
    assert all(torch.equal(loaded.state[name], value) for name, value in trained.state.items())


def test_file_of_the_first_version_is_read(
    model: FloatModel, profile: CalibrationProfile, tmp_path: Path
) -> None:
    document = {
        "format_version": 1,
        "model_sha256": model.exported.sha256,
        "profile": profile.to_json().decode(),
        "summary": {
            "float_accuracy": 0.5,
            "accuracy": None,
            "task_loss": 1.5,
            "quantization_loss": 0.25,
            "best_epoch": 2,
            "step_count": 7,
        },
    }
    path = tmp_path / "trained"
    save_file({"a": torch.ones(2)}, path, {"smidgen": json.dumps(document)})
    loaded = load_trained(path)
    assert (loaded.float_accuracy, loaded.agreement, loaded.best_epoch) == (0.5, None, 2)
    assert loaded.state.keys() == {"a"}
    assert len(loaded.curve.steps) == 0


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04", b"\x08\0\0\0\0\0\0\0{}      "])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    with pytest.raises(TrainingError) as caught:
        load_trained(path)
    assert caught.value.reason == "INVALID_TRAINED_MODEL"


def test_without_a_split_there_is_no_accuracy(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    config = QATConfig(epochs=1, fine_tune_epochs=0, evaluation_fraction=0.0)
    trained = train_qat(model, profile, dataset, config)
    assert trained.accuracy is None
    assert trained.float_accuracy is None
    assert trained.task_loss > 0


def test_mean_squared_error_task(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    targets = np.eye(CLASSES, dtype=np.float32)[dataset.arrays["labels"].astype(np.int64)]
    regression = Dataset({"x": dataset.arrays["x"], "labels": targets}, 120)
    config = QATConfig(epochs=4, batch_size=8, task_loss=TaskLoss.MSE)
    reports: list[TrainingProgress] = []
    trained = train_qat(model, profile, regression, config, on_progress=reports.append)
    assert trained.accuracy is None
    assert trained.task_loss < reports[0].task_loss


def test_divergence_is_an_error(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset
) -> None:
    huge = Dataset({"x": dataset.arrays["x"], "labels": np.full((120, 3), 1e38, np.float32)}, 120)
    with pytest.raises(TrainingError, match="rescale data and labels") as caught:
        train_qat(model, profile, huge, QATConfig(task_loss=TaskLoss.MSE))
    assert caught.value.reason == "TRAINING_DIVERGED"
    assert caught.value.metadata == {"step": "1"}


class _Loud(nn.Module):
    """A net whose activations have no squares in float32."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.last = nn.Linear(4, CLASSES)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.last(self.first(x) * 1e30 + x)
        return y


def test_divergence_of_large_activations_advises_to_rescale(import_model: ImportModel) -> None:
    torch.manual_seed(0)
    model = import_model(_Loud(), (4,))
    generator = np.random.default_rng(0)
    inputs = generator.normal(size=(64, 4)).astype(np.float32)
    dataset = Dataset({"x": inputs, "labels": generator.integers(0, CLASSES, 64)}, 64)
    profile = calibrate(model, dataset.batches(model.exported.inputs, 32))
    with pytest.raises(TrainingError, match=r"at step 1, for activation v\d+ \(") as caught:
        train_qat(model, profile, dataset, replace(CONFIG, evaluation_fraction=0.0))
    assert caught.value.reason == "TRAINING_DIVERGED"
    assert "in forward) reaches " in caught.value.message
    assert caught.value.message.endswith(
        "squares leave float32 at 1.845e+19; rescale the data or the model's weights so that its "
        "values are nearer to 1"
    )
    assert caught.value.metadata["step"] == "1"


def test_data_and_profile_must_fit(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, import_model: ImportModel
) -> None:
    with pytest.raises(InvalidDatasetError) as labels:
        train_qat(model, profile, Dataset({"x": dataset.arrays["x"]}, 120))
    assert labels.value.reason == "LABELS_MISSING"
    other = import_model(nn.Sequential(nn.Linear(2, 3)), (2,))
    with pytest.raises(CalibrationError) as mismatch:
        train_qat(other, profile, dataset)
    assert mismatch.value.reason == "PROFILE_MODEL_MISMATCH"


def test_fixed_batch_size_is_kept(import_model: ImportModel, dataset: Dataset) -> None:
    fixed = import_model(_Net(), (1, 8, 8), is_batch_dynamic=False)
    assert fixed.exported.inputs[0].shape[0] == 2
    profile = calibrate(fixed, dataset.batches(fixed.exported.inputs, 2))
    config = QATConfig(epochs=1, fine_tune_epochs=0)
    trained = train_qat(fixed, profile, dataset, config)
    assert trained.step_count == 108 // 2
