"""Keeps the best state of a training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import torch

from smidgen.config import TaskLoss
from smidgen.progress import Stage
from smidgen.qat.evaluation import Evaluation, evaluate, teacher_accuracy
from smidgen.qat.task import Task
from smidgen.qat.trained import TrainingSummary


class Keeper:
    """Holds the state of the best evaluation so far; that before training takes part.

    Attributes:
        state: State dict of the prepared graph at the best evaluation.
        best: That evaluation.
        stale: Evaluations since then, or since `begin_stage`.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self.stale = 0

    def start(self) -> None:
        """Evaluates and keeps the graph as it is before training."""
        self._float_accuracy = teacher_accuracy(self._task)
        self._keep(0, Stage.LOAD, evaluate(self._task))

    def offer(self, epoch: int, stage: Stage, evaluation: Evaluation) -> None:
        """Keeps the prepared graph as it is now if it is better."""
        config = self._task.config
        by_agreement = config.task_loss is TaskLoss.NONE
        # Without a task the distance decides, even if only features were trained for.
        weight = config.quantization_loss_weight or float(by_agreement)
        if evaluation.is_better_than(self.best, weight, by_agreement=by_agreement):
            self._keep(epoch, stage, evaluation)
        else:
            self.stale += 1

    def begin_stage(self) -> None:
        """Counts stale evaluations anew."""
        self.stale = 0

    def summary(self, step: int) -> TrainingSummary:
        """Returns what is known after so many steps."""
        return TrainingSummary(
            float_accuracy=self._float_accuracy,
            accuracy=self.best.accuracy,
            task_loss=self.best.task_loss,
            quantization_loss=self.best.quantization_loss,
            best_epoch=self._epoch,
            step_count=step,
            agreement=self.best.agreement,
            best_stage=self._stage,
        )

    def document(self) -> dict[str, Any]:
        """Returns all that `restore` needs but the state, as plain values."""
        return {
            "epoch": self._epoch,
            "stage": self._stage.value,
            "stale": self.stale,
            "float_accuracy": self._float_accuracy,
            "best": asdict(self.best),
        }

    def restore(self, document: Mapping[str, Any], state: Mapping[str, torch.Tensor]) -> None:
        """Goes on where another keeper was."""
        self._epoch, self._stage = int(document["epoch"]), Stage(document["stage"])
        self._float_accuracy = document["float_accuracy"]
        self.stale, self.best = int(document["stale"]), Evaluation(**document["best"])
        self.state = {name: tensor.clone() for name, tensor in state.items()}

    def _keep(self, epoch: int, stage: Stage, evaluation: Evaluation) -> None:
        self._epoch, self._stage = epoch, stage
        self.best, self.stale = evaluation, 0
        state = self._task.prepared.state_dict()
        self.state = {name: tensor.detach().clone() for name, tensor in state.items()}
