"""Any configuration that a client can send is trained as it is, or refused by type."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from smidgen.config import QATConfig
from smidgen.config.documents import from_document, to_document
from smidgen.errors import SmidgenError
from smidgen.qat.schedule import TrainingSchedule
from smidgen.v1 import optimization_service_pb2 as pb
from smidgen_service.converters import training

_REALS = st.sampled_from([0.0, 1.0, 0.5]) | st.floats()
_COUNTS = st.integers(0, 20) | st.sampled_from([-1, -(2**31), 2**31 - 1])
_CHOICES = st.integers(0, 3) | st.sampled_from([-1, 99])


def _messages(message: type, **fields: st.SearchStrategy[object]) -> st.SearchStrategy[object]:
    return st.fixed_dictionaries({}, optional=fields).map(lambda values: message(**values))


_FEATURES = _messages(
    pb.FeatureDistance, pattern=st.sampled_from(["", "*", "[" * 300]), weight=_REALS
)
_CONFIGS = _messages(
    pb.QATConfig,
    epochs=_COUNTS,
    fine_tune_epochs=_COUNTS,
    learning_rate=_REALS,
    task_loss=_CHOICES,
    quantization_loss_weight=_REALS,
    seed=st.integers(-(2**63), 2**63 - 1),
    loss=_messages(
        pb.LossConfig,
        label_smoothing=_REALS,
        distance=_CHOICES,
        temperature=_REALS,
        weight_start=_REALS,
        weight_warm_up_steps=_COUNTS,
        features=st.lists(_FEATURES, max_size=2),
    ),
    stages=_messages(
        pb.StageConfig, warm_up_steps=_COUNTS, freeze_observers_at=_REALS, fine_tune=_CHOICES
    ),
    optimizer=_messages(
        pb.OptimizerConfig,
        kind=_CHOICES,
        schedule=_CHOICES,
        decay_epochs=_COUNTS,
        decay_factor=_REALS,
        gradient_clip=_REALS,
        ema_decay=_REALS,
    ),
    budget=_messages(pb.BudgetConfig, steps=_COUNTS, seconds=_REALS, patience=_COUNTS),
)


@given(_CONFIGS)
def test_any_configuration_is_kept_or_refused(message: pb.QATConfig) -> None:
    try:
        config = training.qat_config(message)
    except SmidgenError:
        return
    document = json.dumps(to_document(config), allow_nan=False)
    assert from_document(QATConfig, json.loads(document)) == config
    schedule = TrainingSchedule(config, 3)
    start = schedule.start()
    assert 0.0 <= schedule.learning_rate(start) <= 100.0
    assert 0.0 <= schedule.loss_weight(start) <= 1e6
