"""The training loop of quantization-aware training.

Before the final fine-tuning ranges follow the data as moving averages that begin at the calibrated
ones, and batch norm uses the statistics of the batch, until each is frozen. In the fine-tuning
both are frozen and the forward values are those of the converted program; or, where so configured,
the float model below is trained without any rounding.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace

import torch

from smidgen.progress import Stage, Stopped, TrainingProgress
from smidgen.qat.average import WeightAverage
from smidgen.qat.checkpoint import Snapshot
from smidgen.qat.curve import CurveRecorder, EvaluationPoint, StepFigures
from smidgen.qat.data import Batch, shuffled_batches
from smidgen.qat.divergence import diverged_error
from smidgen.qat.evaluation import Evaluation, evaluate
from smidgen.qat.features import with_outputs
from smidgen.qat.keeper import Keeper
from smidgen.qat.live_state import live_state, restore_live_state
from smidgen.qat.losses import feature_distance, quantization_loss, task_loss
from smidgen.qat.optimization import clip_gradients, make_optimizer, set_learning_rate
from smidgen.qat.schedule import Position, Switches, TrainingSchedule
from smidgen.qat.switches import (
    set_batch_statistics,
    set_observers,
    without_fake_quantization,
)
from smidgen.qat.task import Task
from smidgen.qat.teacher import first_output

REPORT_INTERVAL = 10
"""Steps between two reports."""


@dataclass(frozen=True, slots=True)
class Hooks:
    """What a trainer calls.

    Attributes:
        on_progress: Gets a report about every 10 steps and after each evaluation.
        should_stop: Asked before every step.
        on_step: Called after every step and every evaluation.
        clock: Seconds from any start.
    """

    on_progress: Callable[[TrainingProgress], None] = lambda _: None
    should_stop: Callable[[], bool] = lambda: False
    on_step: Callable[[], None] = lambda: None
    clock: Callable[[], float] = time.monotonic


class Trainer:
    """Runs a task to its end.

    Attributes:
        position: Where it stands.
        curve: What it went through.
    """

    def __init__(self, task: Task, keeper: Keeper, hooks: Hooks) -> None:
        config = task.config
        self._task = task
        self._keeper = keeper
        self._hooks = hooks
        self._schedule = TrainingSchedule(config, task.steps_per_epoch)
        self._nodes = [feature.node for feature in task.features]
        self._graph = with_outputs(task.prepared, self._nodes)
        self._parameters = list(task.prepared.parameters())
        self._optimizer = make_optimizer(task.prepared, config.optimizer)
        decay = config.optimizer.ema_decay
        self._average = None if decay is None else WeightAverage(task.prepared, decay)
        self._switches: Switches | None = None
        self._stage = Stage.LOAD
        self._sums = [0.0, 0.0, 0.0]
        self._summed = 0
        self._earlier_s = 0.0
        self._started_s = hooks.clock()
        self.position = self._schedule.start()
        self.curve = CurveRecorder()

    def start(self) -> None:
        """Evaluates what there is before training."""
        self._keeper.start()
        self._record(0, Stage.LOAD, self._keeper.best)

    def snapshot(self) -> Snapshot:
        """Returns everything that `restore` needs to go on from here."""
        tensors = {f"model/{name}": t for name, t in live_state(self._task.prepared).items()}
        tensors |= {f"best/{name}": t for name, t in self._keeper.state.items()}
        for index, entries in self._optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer/{index}/{key}": value for key, value in entries.items()}
        if self._average is not None:
            tensors |= {f"average/{name}": t for name, t in self._average.values.items()}
        for name, array in self.curve.state().items():
            tensors[f"curve/{name}"] = torch.from_numpy(array)
        document = {
            "position": asdict(self.position),
            "stage": self._stage.value,
            "elapsed_s": self._elapsed_s(),
            "sums": self._sums,
            "summed": self._summed,
            "averaged": 0 if self._average is None else self._average.step_count,
            "keeper": self._keeper.document(),
            "steps_a_point": self.curve.steps_a_point,
            "evaluations": [point.to_dict() for point in self.curve.evaluations],
        }
        return Snapshot(tensors, document)

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where another trainer of the same task was, instead of `start`.

        Raises:
            KeyError, TypeError, ValueError, RuntimeError: the snapshot is of another task.
        """
        document = snapshot.document
        restore_live_state(self._task.prepared, _under("model/", snapshot.tensors))
        self._restore_optimizer(_under("optimizer/", snapshot.tensors))
        if self._average is not None:
            self._average.restore(_under("average/", snapshot.tensors), document["averaged"])
        self._keeper.restore(document["keeper"], _under("best/", snapshot.tensors))
        self.position = Position(**document["position"])
        self._stage = Stage(document["stage"])
        self._earlier_s, self._started_s = float(document["elapsed_s"]), self._hooks.clock()
        self._sums, self._summed = list(document["sums"]), int(document["summed"])
        self.curve.restore(
            {name: t.numpy() for name, t in _under("curve/", snapshot.tensors).items()},
            int(document["steps_a_point"]),
            [EvaluationPoint.from_dict(point) for point in document["evaluations"]],
        )

    def _restore_optimizer(self, tensors: Mapping[str, torch.Tensor]) -> None:
        states: dict[int, dict[str, torch.Tensor]] = {}
        for name, tensor in tensors.items():
            index, _, key = name.partition("/")
            states.setdefault(int(index), {})[key] = tensor.clone()
        groups = self._optimizer.state_dict()["param_groups"]
        self._optimizer.load_state_dict({"state": states, "param_groups": groups})

    def run(self) -> None:
        """Trains until the last epoch or the end of the budget.

        Raises:
            TrainingError: a loss or a gradient is not finite.
            Stopped: should_stop said so.
        """
        while self._has_more():
            self._train_epoch()
            self._end_epoch()
            self._hooks.on_step()

    def _has_more(self) -> bool:
        position = self.position
        is_between_epochs = position.batch == 0 and position.step > 0
        is_spent = is_between_epochs and self._is_budget_spent()
        return position.epoch <= self._schedule.last_epoch(position) and not is_spent

    def _is_budget_spent(self) -> bool:
        budget = self._task.config.budget
        if budget.steps is not None and self.position.step >= budget.steps:
            return True
        return budget.seconds is not None and self._elapsed_s() >= budget.seconds

    def _elapsed_s(self) -> float:
        return self._earlier_s + self._hooks.clock() - self._started_s

    def _train_epoch(self) -> None:
        """Runs what is left of the epoch, or of the budget."""
        task, position = self._task, self.position
        for batch in shuffled_batches(
            task.training,
            task.batch_size,
            seed=task.config.seed,
            epoch=position.epoch,
            first=position.batch,
        ):
            if self.position.step > 0 and self._is_budget_spent():
                return
            if self._hooks.should_stop():
                raise Stopped
            self._step(batch)
            is_last = self.position.batch == task.steps_per_epoch
            if self.position.step % REPORT_INTERVAL == 0 and not is_last:
                self._report(None)
            self._hooks.on_step()

    def _step(self, batch: Batch) -> None:
        position = self.position
        self._stage = self._schedule.stage(position)
        self._switch(self._schedule.switches(position))
        learning_rate = self._schedule.learning_rate(position)
        set_learning_rate(self._optimizer, learning_rate)
        weight = self._schedule.loss_weight(position)
        losses = self._descend(batch, weight)
        if self._average is not None:
            self._average.update()
        self.position = replace(position, batch=position.batch + 1, step=position.step + 1)
        self.curve.add(StepFigures(self.position.step, *losses, weight, learning_rate))
        self._sums = [a + b for a, b in zip(self._sums, losses, strict=True)]
        self._summed += 1

    def _switch(self, wanted: Switches) -> None:
        """Sets the modes of the graph, unless they are as wanted."""
        if wanted == self._switches:
            return
        prepared = self._task.prepared
        prepared.eval()
        set_observers(prepared, wanted.observers)
        set_batch_statistics(prepared, wanted.batch_statistics)
        graph = prepared if wanted.fake_quantization else without_fake_quantization(prepared)
        self._graph = with_outputs(graph, self._nodes)
        self._switches = wanted

    def _descend(self, batch: Batch, weight: float) -> tuple[float, float, float]:
        """Takes one optimizer step and returns task, quantization and feature loss."""
        task, loss_config = self._task, self._task.config.loss
        outputs, features = self._graph(*batch.inputs)
        output, lesson = first_output(outputs), task.training_teacher(batch)
        of_task = task_loss(
            output,
            batch.labels,
            task.config.task_loss,
            label_smoothing=loss_config.label_smoothing,
        )
        of_quantization = quantization_loss(
            output, lesson.output, task.distance, loss_config.kl_temperature
        )
        of_features = output.new_zeros(())
        for feature, values, wanted in zip(task.features, features, lesson.features, strict=True):
            of_features = of_features + feature.weight * feature_distance(values, wanted)
        loss = of_task + weight * of_quantization + of_features
        self._optimizer.zero_grad()
        loss.backward()
        norm = clip_gradients(self._parameters, task.config.optimizer.gradient_clip)
        self._check_finite(batch, float(loss.detach()), norm)
        self._optimizer.step()
        return float(of_task.detach()), float(of_quantization.detach()), float(of_features.detach())

    def _check_finite(self, batch: Batch, loss: float, norm: float) -> None:
        """Refuses a loss or a norm that is not finite.

        The norm too: fake quantization turns a NaN into a number before it reaches the loss.
        """
        if not (math.isfinite(loss) and math.isfinite(norm)):
            step = self.position.step + 1
            raise diverged_error(self._graph, batch.inputs, loss=loss, norm=norm, step=step)

    def _end_epoch(self) -> None:
        """Evaluates, keeps what is best, and moves on to the next epoch or stage."""
        position, average = self.position, self._average
        with average.applied() if average is not None else nullcontext():
            evaluation = evaluate(self._task)
            self._keeper.offer(position.epoch, self._stage, evaluation)
        self._switches = None  # evaluation changed the modes
        self._record(position.epoch, self._stage, evaluation)
        self._report(evaluation)
        self.position = self._next(position)
        if self.position.epoch == self.position.fine_tune_from:
            self._keeper.begin_stage()

    def _next(self, position: Position) -> Position:
        """Returns the start of the next epoch; patience may leave some out."""
        following = replace(position, epoch=position.epoch + 1, batch=0)
        patience = self._task.config.budget.patience
        if patience is None or self._keeper.stale < patience:
            return following
        if position.epoch < position.fine_tune_from:
            return replace(following, fine_tune_from=following.epoch)
        return replace(following, epoch=self._schedule.last_epoch(position) + 1)

    def _record(self, epoch: int, stage: Stage, evaluation: Evaluation) -> None:
        self.curve.evaluations.append(
            EvaluationPoint(step=self.position.step, epoch=epoch, stage=stage, **asdict(evaluation))
        )

    def _report(self, evaluation: Evaluation | None) -> None:
        count = max(self._summed, 1)
        self._hooks.on_progress(
            TrainingProgress(
                stage=self._stage,
                epoch=self.position.epoch,
                step=self.position.step,
                total_steps=self._schedule.total_steps(self.position),
                task_loss=self._sums[0] / count,
                quantization_loss=self._sums[1] / count,
                feature_loss=self._sums[2] / count,
                learning_rate=self._optimizer.param_groups[0]["lr"],
                accuracy=None if evaluation is None else evaluation.accuracy,
                agreement=None if evaluation is None else evaluation.agreement,
            )
        )
        self._sums, self._summed = [0.0, 0.0, 0.0], 0


def _under(prefix: str, tensors: Mapping[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Returns the tensors whose names begin so, without that beginning."""
    return {name[len(prefix) :]: t for name, t in tensors.items() if name.startswith(prefix)}
