"""Stopped and killed trainings go on from their checkpoints to the same bytes."""

from __future__ import annotations

import hashlib
import os
import random
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen.calibration import calibrate
from smidgen.config import (
    BudgetConfig,
    FeatureDistance,
    FineTune,
    LayerPrecision,
    LossConfig,
    OptimizerConfig,
    OptimizerKind,
    PrecisionConfig,
    QATConfig,
    RangeSource,
    Schedule,
    StageConfig,
    WeightBits,
)
from smidgen.errors import CheckpointDamagedError, ResumeError, TrainingError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stopped
from smidgen.qat import fingerprint
from smidgen.qat.checkpoint import load_checkpoint
from smidgen.qat.fingerprint import Fingerprint
from smidgen.qat.trained import save_trained
from smidgen.qat.training import train_qat
from smidgen.sealed_file import write_sealed

ImportModel = Callable[..., FloatModel]

STEPS = 3 * 12
CONFIG = QATConfig(
    epochs=2,
    batch_size=8,
    evaluation_fraction=0.2,
    seed=11,
    loss=LossConfig(weight_warm_up_steps=20, features=(FeatureDistance("*", 0.1),)),
    stages=StageConfig(
        warm_up_steps=4,
        freeze_observers_at=0.7,
        freeze_batch_norm_at=0.9,
        fine_tune=FineTune.WITHOUT_FAKE_QUANTIZATION,
    ),
    optimizer=OptimizerConfig(
        OptimizerKind.ADAMW, weight_decay=1e-3, gradient_clip=1.0, ema_decay=0.8
    ),
)
OTHERS = (
    QATConfig(epochs=2, batch_size=8, evaluation_fraction=0.2),
    replace(
        CONFIG,
        optimizer=OptimizerConfig(OptimizerKind.SGD, schedule=Schedule.STEP, decay_epochs=1),
        budget=BudgetConfig(steps=30, patience=1),
    ),
    replace(CONFIG, activations=RangeSource.LEARNED),
)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 6, 3, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(6)
        self.head = nn.Linear(6 * 4 * 4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = nn.functional.max_pool2d(torch.relu(self.norm(self.conv(x))), 2)
        y: torch.Tensor = self.head(x.flatten(1))
        return y


@pytest.fixture(scope="module")
def dataset() -> Dataset:
    generator = np.random.default_rng(5)
    images = generator.normal(size=(120, 1, 8, 8)).astype(np.float32)
    return Dataset({"labels": generator.integers(0, 3, 120), "x": images}, 120)


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(4)
    return import_model(_Net(), (1, 8, 8))


@pytest.fixture(scope="module")
def profile(model: FloatModel, dataset: Dataset) -> CalibrationProfile:
    return calibrate(model, dataset.batches(model.exported.inputs, 40))


@pytest.fixture(scope="module")
def whole(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    tmp_path_factory: pytest.TempPathFactory,
) -> bytes:
    """Returns the result of a training that nothing disturbs."""
    path = tmp_path_factory.mktemp("whole") / "trained"
    save_trained(train_qat(model, profile, dataset, CONFIG), path)
    return path.read_bytes()


def result(path: Path, *arguments: object, **options: object) -> bytes:
    """Trains and returns the bytes of the file."""
    save_trained(train_qat(*arguments, **options), path)  # type: ignore[arg-type]
    return path.read_bytes()


def train_until_killed(step: int, checkpoint: Path, *arguments: object) -> None:
    """Trains in a process of its own, and kills that soon after it has begun a step."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            torch.set_num_threads(1)

            def tell() -> bool:
                os.write(writing, b".")
                return False

            train_qat(
                *arguments,  # type: ignore[arg-type]
                checkpoint=checkpoint,
                checkpoint_interval_s=0.0,
                should_stop=tell,
            )
        finally:
            os._exit(1)
    os.close(writing)
    begun = 0
    while begun < step:
        begun += len(os.read(reading, step - begun)) or step
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    os.close(reading)
    assert os.WTERMSIG(status) == signal.SIGKILL


@pytest.mark.parametrize("step", random.Random(2024).sample(range(3, STEPS), 5))
def test_killed_training_ends_with_the_same_bytes(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    whole: bytes,
    tmp_path: Path,
    step: int,
) -> None:
    checkpoint = tmp_path / "checkpoint"
    arguments = (model, profile, dataset, CONFIG)
    train_until_killed(step, checkpoint, *arguments)
    steps: list[int] = []
    found = result(
        tmp_path / "trained",
        *arguments,
        resume=checkpoint,
        on_progress=lambda progress: steps.append(progress.step),
    )
    assert steps[0] >= step - 1  # it did not begin anew
    assert found == whole


def test_training_can_stop_before_every_step(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    whole: bytes,
    tmp_path: Path,
) -> None:
    checkpoint = tmp_path / "checkpoint"
    arguments = (model, profile, dataset, CONFIG)
    for step in range(STEPS - 1):
        asked = iter([False, True])
        with pytest.raises(Stopped):
            train_qat(
                *arguments,
                checkpoint=checkpoint,
                resume=checkpoint if step else None,
                should_stop=lambda asked=asked: next(asked),
            )
    assert result(tmp_path / "trained", *arguments, resume=checkpoint) == whole
    assert {entry.name for entry in tmp_path.iterdir()} == {"checkpoint", "trained"}


@pytest.mark.parametrize("config", OTHERS, ids=["defaults", "sgd", "learned"])
def test_other_options_go_on_too(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    tmp_path: Path,
    config: QATConfig,
) -> None:
    arguments = (model, profile, dataset, config)
    expected = result(tmp_path / "whole", *arguments)
    for stop in (1, 12, 13, 24):
        asked = iter([False] * stop + [True])
        with pytest.raises(Stopped):
            train_qat(
                *arguments,
                checkpoint=tmp_path / "checkpoint",
                should_stop=lambda asked=asked: next(asked),
            )
        found = result(tmp_path / "resumed", *arguments, resume=tmp_path / "checkpoint")
        assert found == expected, stop


def test_finished_training_needs_no_step_more(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, whole: bytes, tmp_path: Path
) -> None:
    checkpoint = tmp_path / "checkpoint"
    train_qat(model, profile, dataset, CONFIG, checkpoint=checkpoint)

    def refuse() -> bool:
        raise AssertionError("a step was begun")

    arguments = (model, profile, dataset, CONFIG)
    assert result(tmp_path / "t", *arguments, resume=checkpoint, should_stop=refuse) == whole


def test_time_budget_counts_the_time_before(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> None:
    config = replace(CONFIG, budget=BudgetConfig(seconds=100.0))
    checkpoint = tmp_path / "checkpoint"
    now = 0.0

    def advance() -> bool:
        nonlocal now
        now += 15.0
        return now == 60.0

    with pytest.raises(Stopped):
        train_qat(
            *(model, profile, dataset, config),
            checkpoint=checkpoint,
            should_stop=advance,
            clock=lambda: now,
        )
    now = 1000.0
    trained = train_qat(
        *(model, profile, dataset, config),
        resume=checkpoint,
        should_stop=advance,
        clock=lambda: now,
    )
    assert trained.step_count == 3 + 3  # 60 s, and 45 s more until the budget is spent


def changed(dataset: Dataset, name: str) -> Dataset:
    """Returns a dataset with one value changed."""
    array = dataset.arrays[name].copy()
    array.flat[-1] = 1 - array.flat[-1]
    return Dataset({**dataset.arrays, name: array}, dataset.sample_count)


def test_every_part_of_the_fingerprint_is_checked(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    checkpoint = tmp_path / "checkpoint"
    with pytest.raises(Stopped):
        train_qat(
            *(model, profile, dataset, CONFIG), checkpoint=checkpoint, should_stop=lambda: True
        )

    def parts(
        of_profile: CalibrationProfile = profile,
        of_dataset: Dataset = dataset,
        config: QATConfig = CONFIG,
        evaluation: Dataset | None = None,
    ) -> str:
        with pytest.raises(ResumeError) as caught:
            train_qat(
                *(model, of_profile, of_dataset, config), evaluation=evaluation, resume=checkpoint
            )
        assert caught.value.reason == "RESUME_FINGERPRINT_MISMATCH"
        assert caught.value.metadata["parts"] in caught.value.message
        return caught.value.metadata["parts"]

    other = calibrate(model, dataset.batches(model.exported.inputs, 30))
    assert parts(of_profile=replace(other, sample_count=1)) == "profile"
    assert parts(of_dataset=changed(dataset, "labels")) == "data"
    assert parts(of_dataset=changed(dataset, "x"), config=replace(CONFIG, seed=1)) == "data, config"
    with pytest.raises(ResumeError, match=r"another config \(seed: it had 11, 1 is given\), so"):
        train_qat(model, profile, dataset, replace(CONFIG, seed=1), resume=checkpoint)
    without_split = replace(CONFIG, evaluation_fraction=0.0)
    assert parts(evaluation=dataset, config=without_split) == "evaluation_data, config"
    monkeypatch.setattr(fingerprint, "available_isas", lambda: ("portable",))
    assert parts() == "isa"
    monkeypatch.setattr(fingerprint, "version", lambda name: f"{name} 0")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert parts() == "versions, isa, threads"


def test_options_that_differ_are_named_with_both_values() -> None:
    def taken(config: QATConfig, weights: WeightBits = WeightBits.INT8) -> Fingerprint:
        precision = PrecisionConfig(LayerPrecision(weights))
        document = fingerprint.options_document(config, precision)
        digest = hashlib.sha256(document.encode()).hexdigest()
        return Fingerprint("", "", "", "", digest, "", "", 1, document)

    other = replace(CONFIG, seed=1, stages=replace(CONFIG.stages, warm_up_steps=3))
    with pytest.raises(ResumeError) as caught:
        taken(CONFIG).check(taken(other, WeightBits.INT4))
    assert caught.value.metadata["parts"] == "config"
    assert caught.value.metadata["options"] == (
        "precision.default.weights, seed, stages.warm_up_steps"
    )
    assert (
        'another config (precision.default.weights: it had "int4", "int8" is given; seed: it had '
        "1, 11 is given; stages.warm_up_steps: it had 3, 4 is given), so"
    ) in caught.value.message
    with pytest.raises(ResumeError) as earlier:
        taken(CONFIG).check(replace(taken(other), options=""))
    assert "another config, so" in earlier.value.message
    assert "options" not in earlier.value.metadata
    taken(CONFIG).check(replace(taken(CONFIG), options=""))


def test_other_model_is_refused(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    import_model: ImportModel,
    tmp_path: Path,
) -> None:
    checkpoint = tmp_path / "checkpoint"
    train_qat(model, profile, dataset, CONFIG, checkpoint=checkpoint)
    torch.manual_seed(9)
    other = import_model(_Net(), (1, 8, 8))
    with pytest.raises(ResumeError) as caught:
        train_qat(
            *(other, calibrate(other, dataset.batches(other.exported.inputs, 40)), dataset, CONFIG),
            resume=checkpoint,
        )
    assert caught.value.metadata["parts"] == "model, profile"


@pytest.fixture
def checkpoint(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> Path:
    path = tmp_path / "checkpoint"
    train_qat(model, profile, dataset, CONFIG, checkpoint=path)
    return path


def test_missing_checkpoint_is_named(
    model: FloatModel, profile: CalibrationProfile, dataset: Dataset, tmp_path: Path
) -> None:
    missing = str(tmp_path / "nowhere")
    with pytest.raises(TrainingError, match="leave `resume` out") as caught:
        train_qat(model, profile, dataset, CONFIG, resume=missing)
    assert caught.value.reason == "CHECKPOINT_MISSING"
    assert caught.value.metadata == {"path": missing}
    assert missing in caught.value.message


def test_sealed_file_of_another_kind_is_no_checkpoint(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    whole: bytes,
    checkpoint: Path,
) -> None:
    write_sealed(checkpoint, whole)
    with pytest.raises(TrainingError) as caught:
        train_qat(model, profile, dataset, CONFIG, resume=checkpoint)
    assert caught.value.reason == "INVALID_CHECKPOINT"


def test_no_damage_to_a_checkpoint_goes_unseen(whole: bytes, checkpoint: Path) -> None:
    content = checkpoint.read_bytes()
    generator = random.Random(3)
    damaged = [b"", whole, content + b"\0"]
    damaged += [content[: generator.randrange(len(content))] for _ in range(100)]
    for _ in range(100):
        flipped = bytearray(content)
        flipped[generator.randrange(len(content))] ^= 1 << generator.randrange(8)
        damaged.append(bytes(flipped))
    for other in damaged:
        checkpoint.write_bytes(other)
        with pytest.raises(CheckpointDamagedError) as caught:
            load_checkpoint(checkpoint, Fingerprint(*7 * ("",), threads=1))
        assert caught.value.reason == "CHECKPOINT_DAMAGED"
