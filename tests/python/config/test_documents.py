"""Options as JSON and back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import (
    BudgetConfig,
    DistanceKind,
    FeatureDistance,
    FineTune,
    LossConfig,
    OptimizerConfig,
    OptimizerKind,
    QATConfig,
    Schedule,
    StageConfig,
    TaskLoss,
)
from smidgen.config.documents import from_document, to_document
from smidgen.errors import InvalidConfigError

FULL = QATConfig(
    epochs=3,
    fine_tune_learning_rate=1e-4,
    task_loss=TaskLoss.NONE,
    seed=-7,
    loss=LossConfig(
        distance=DistanceKind.KL,
        temperature=2.5,
        features=(FeatureDistance("conv*"), FeatureDistance("head", 0.25)),
    ),
    stages=StageConfig(warm_up_steps=4, fine_tune=FineTune.WITHOUT_FAKE_QUANTIZATION),
    optimizer=OptimizerConfig(OptimizerKind.SGD, schedule=Schedule.STEP, ema_decay=0.9),
    budget=BudgetConfig(steps=100, seconds=2.0),
)


@pytest.mark.parametrize("config", [QATConfig(), FULL])
def test_nested_options_round_trip_through_json(config: QATConfig) -> None:
    document = json.loads(json.dumps(to_document(config)))
    assert from_document(QATConfig, document) == config


def test_what_an_older_version_wrote_takes_defaults() -> None:
    assert from_document(QATConfig, {"epochs": 2, "task_loss": "mse"}) == QATConfig(
        epochs=2, task_loss=TaskLoss.MSE
    )


@pytest.mark.parametrize(
    ("document", "reason", "field"),
    [
        ([], "INVALID_OPTION", "the configuration"),
        ({"epoch": 2}, "UNKNOWN_OPTION", "epoch"),
        ({"loss": {"tempature": 2}}, "UNKNOWN_OPTION", "loss.tempature"),
        ({"loss": None}, "INVALID_OPTION", "loss"),
        ({"loss": {"features": {}}}, "INVALID_OPTION", "loss.features"),
        ({"loss": {"features": ["conv"]}}, "INVALID_OPTION", "loss.features[0]"),
        ({"loss": {"features": [{"weight": 1.0}]}}, "INVALID_OPTION", "loss.features[0]"),
        ({"task_loss": "guess"}, "INVALID_OPTION", "task_loss"),
        ({"task_loss": ["mse"]}, "INVALID_OPTION", "task_loss"),
        ({"epochs": 2.5}, "INVALID_OPTION", "epochs"),
        ({"epochs": True}, "INVALID_OPTION", "epochs"),
        ({"epochs": 0}, "INVALID_CONFIG", "epochs"),
        ({"learning_rate": "1"}, "INVALID_OPTION", "learning_rate"),
        ({"learning_rate": 10**400}, "INVALID_OPTION", "learning_rate"),
        ({"learning_rate": float("nan")}, "INVALID_CONFIG", "learning_rate"),
        ({"budget": {"seconds": 0}}, "INVALID_CONFIG", "budget.seconds"),
    ],
)
def test_refusals_name_the_option(document: object, reason: str, field: str) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        from_document(QATConfig, document)
    assert (caught.value.reason, caught.value.metadata["field"]) == (reason, field)


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["", "mse"])
_JSON = _SCALARS | st.lists(_SCALARS, max_size=2)
_NAMES = st.sampled_from([*QATConfig.__slots__, *LossConfig.__slots__, *StageConfig.__slots__])


@given(st.dictionaries(_NAMES, _JSON | st.dictionaries(_NAMES, _JSON, max_size=2), max_size=4))
def test_any_document_is_read_or_refused(document: dict[str, Any]) -> None:
    try:
        config = from_document(QATConfig, document)
    except InvalidConfigError:
        return
    assert from_document(QATConfig, to_document(config)) == config


def test_booleans_are_options_too() -> None:
    @dataclass(frozen=True)
    class Flags:
        is_on: bool = False

    assert from_document(Flags, {"is_on": True}) == Flags(True)
    with pytest.raises(InvalidConfigError):
        from_document(Flags, {"is_on": 1})
