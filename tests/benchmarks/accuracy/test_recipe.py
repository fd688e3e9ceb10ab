"""How the small nets are trained."""

from __future__ import annotations

from benchmarks.accuracy import digits, mnist
from smidgen.config import QATConfig


def test_each_subject_trains_as_long_as_it_says_from_its_seed() -> None:
    found = [(config.epochs, config.fine_tune_epochs, config.seed) for config in _configs(seed=3)]
    assert found == [(10, 2, 3), (5, 1, 3)]


def test_the_float_net_is_followed_at_a_temperature_with_its_own_statistics() -> None:
    for config in _configs(seed=0):
        assert config.loss.temperature > 1.0
        assert config.quantization_loss_weight > 0.0
        assert config.stages.freeze_batch_norm_at == 0.0


def _configs(seed: int) -> list[QATConfig]:
    return [subject.config(seed) for subject in (digits.SUBJECT, mnist.SUBJECT)]
