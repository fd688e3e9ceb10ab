"""The file of a trained model keeps how it was trained; earlier files did not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from smidgen.config import ObserverMethod, QATConfig, TaskLoss
from smidgen.errors import TrainingError
from smidgen.profile import ActivationRange, CalibrationProfile
from smidgen.qat.trained import TrainedModel, TrainingSummary, load_trained, save_trained

PROFILE = CalibrationProfile("ab", ObserverMethod.MIN_MAX, 3, 1, {"x": ActivationRange(-1.0, 2.0)})
CONFIG = QATConfig(epochs=2, fine_tune_learning_rate=1e-5, task_loss=TaskLoss.MSE, seed=-3)


def trained() -> TrainedModel:
    summary = TrainingSummary(None, None, 0.25, 0.5, 1, 10)
    return TrainedModel("ab", PROFILE, summary, {"w": torch.arange(3.0)}, CONFIG)


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    with safe_open(path, framework="pt") as file:
        document = json.loads(file.metadata()["smidgen"])
        state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
    change(document)
    save_file(state, path, {"smidgen": json.dumps(document)})


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    save_trained(trained(), str(tmp_path / "t"))
    found = load_trained(str(tmp_path / "t"))
    assert (found.model_sha256, found.profile, found.config) == ("ab", PROFILE, CONFIG)
    assert found.summary == trained().summary
    assert found.state["w"].tolist() == [0.0, 1.0, 2.0]


def test_a_file_that_did_not_keep_the_options_is_loaded_without(tmp_path: Path) -> None:
    save_trained(trained(), tmp_path / "t")
    rewrite(tmp_path / "t", lambda document: document.pop("config"))
    assert load_trained(tmp_path / "t").config is None


@pytest.mark.parametrize(
    "change",
    [
        {"epochs": 0},
        {"task_loss": "other"},
        {"unknown": 1},
        {"epochs": "many"},
    ],
)
def test_options_that_are_none_are_refused(change: dict[str, object], tmp_path: Path) -> None:
    save_trained(trained(), tmp_path / "t")
    rewrite(tmp_path / "t", lambda document: document["config"].update(change))
    with pytest.raises(TrainingError) as caught:
        load_trained(tmp_path / "t")
    assert caught.value.reason == "INVALID_TRAINED_MODEL"
