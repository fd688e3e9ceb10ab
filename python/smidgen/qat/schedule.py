"""Which stage a step belongs to, its step size and its weights. Pure functions of the step."""

from __future__ import annotations

import math
from dataclasses import dataclass

from smidgen.config import FineTune, QATConfig, Schedule
from smidgen.progress import Stage


@dataclass(frozen=True, slots=True)
class Switches:
    """What is on in a step.

    Attributes:
        observers: Ranges follow the data.
        batch_statistics: Batch norm uses those of the batch.
        fake_quantization: Values and weights are rounded.
    """

    observers: bool
    batch_statistics: bool
    fake_quantization: bool


@dataclass(frozen=True, slots=True)
class Position:
    """Where a training stands.

    Attributes:
        epoch: The current one, from 1.
        batch: Batches done in it.
        step: Optimizer steps done in all.
        fine_tune_from: The first epoch of the final stage.
    """

    epoch: int
    batch: int
    step: int
    fine_tune_from: int


class TrainingSchedule:
    """The course of a training.

    Args:
        config: How to train.
        steps_per_epoch: Batches of an epoch.
    """

    def __init__(self, config: QATConfig, steps_per_epoch: int) -> None:
        self._config = config
        self.steps_per_epoch = steps_per_epoch
        self._qat_steps = config.epochs * steps_per_epoch

    def start(self) -> Position:
        """Returns the position before the first step."""
        return Position(epoch=1, batch=0, step=0, fine_tune_from=self._config.epochs + 1)

    def total_steps(self, position: Position) -> int:
        """Returns the steps in all, done and to do."""
        left_in_epoch = self.steps_per_epoch - position.batch
        epochs_after = self.last_epoch(position) - position.epoch
        total = position.step + left_in_epoch + epochs_after * self.steps_per_epoch
        most = self._config.budget.steps
        return total if most is None else max(min(total, most), position.step)

    def last_epoch(self, position: Position) -> int:
        """Returns the number of the last epoch."""
        return position.fine_tune_from - 1 + self._config.fine_tune_epochs

    def stage(self, position: Position) -> Stage:
        """Returns the stage of the step that comes next."""
        if position.epoch >= position.fine_tune_from:
            return Stage.FINE_TUNE
        if not self.switches(position).observers or not self.switches(position).batch_statistics:
            return Stage.FREEZE
        return Stage.WARM_UP if position.step < self._config.stages.warm_up_steps else Stage.QAT

    def switches(self, position: Position) -> Switches:
        """Returns what is on in the step that comes next."""
        stages = self._config.stages
        if position.epoch >= position.fine_tune_from:
            return Switches(False, False, stages.fine_tune is FineTune.FROZEN)
        share = position.step / self._qat_steps
        return Switches(
            observers=share < stages.freeze_observers_at,
            batch_statistics=share < stages.freeze_batch_norm_at,
            fake_quantization=True,
        )

    def learning_rate(self, position: Position) -> float:
        """Returns the step size of the step that comes next."""
        config = self._config
        if position.epoch >= position.fine_tune_from:
            return config.final_learning_rate
        warm_up = config.stages.warm_up_steps
        if position.step < warm_up:
            return config.learning_rate * (position.step + 1) / (warm_up + 1)
        return config.learning_rate * self._decay(position)

    def loss_weight(self, position: Position) -> float:
        """Returns the weight of the quantization loss in the step that comes next."""
        loss, end = self._config.loss, self._config.quantization_loss_weight
        if position.step >= loss.weight_warm_up_steps:
            return end
        share = position.step / loss.weight_warm_up_steps
        return loss.weight_start + (end - loss.weight_start) * share

    def _decay(self, position: Position) -> float:
        optimizer = self._config.optimizer
        if optimizer.schedule is Schedule.CONSTANT:
            return 1.0
        if optimizer.schedule is Schedule.STEP:
            return optimizer.decay_factor ** ((position.epoch - 1) // optimizer.decay_epochs)
        warm_up = self._config.stages.warm_up_steps
        share = (position.step - warm_up) / max(self._qat_steps - warm_up, 1)
        return 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
