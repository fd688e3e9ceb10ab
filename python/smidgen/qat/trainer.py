"""The training loop of quantization-aware training.

Two stages. In the QAT stage ranges follow the data as moving averages that begin at the calibrated
ones, batch norm uses the statistics of the batch, and the learning rate falls to 0 by a cosine. In
the fine-tuning stage the graph is in eval mode: ranges and statistics are frozen, and the forward
values are those of the converted program.

The optimizer is Adam without weight decay. Its steps do not depend on the scale of the gradients,
which differs between layers by orders of magnitude once batch norm is folded, so that one default
learning rate serves most models.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import fx

from smidgen.classification import correct_count
from smidgen.config import QATConfig, TaskLoss
from smidgen.errors import TrainingError
from smidgen.progress import Stage, Stopped, TrainingProgress
from smidgen.qat.data import Batch, Samples, ordered_batches, shuffled_batches, step_count
from smidgen.qat.losses import quantization_loss, task_loss

REPORT_INTERVAL = 10
"""Steps between two reports."""

Progress = Callable[[TrainingProgress], None]
ShouldStop = Callable[[], bool]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """How good the prepared graph is on the evaluation samples.

    Attributes:
        accuracy: 0 to 1; None where there is none.
        task_loss: Mean over the samples.
        quantization_loss: Mean over the samples, not weighted.
    """

    accuracy: float | None
    task_loss: float
    quantization_loss: float

    def is_better_than(self, other: Evaluation, weight: float) -> bool:
        """Compares accuracy first and the whole loss where accuracies are equal."""
        mine, theirs = self.accuracy or 0.0, other.accuracy or 0.0
        return (mine, -self._total(weight)) > (theirs, -other._total(weight))

    def _total(self, weight: float) -> float:
        return self.task_loss + weight * self.quantization_loss


@dataclass(frozen=True, slots=True)
class Task:
    """What a run trains, on what; nothing here changes but the prepared graph.

    Attributes:
        prepared: The graph with fake quantization; its parameters and ranges are trained.
        training: The training split.
        evaluation: The evaluation split, or the training split where nothing is held out.
        is_held_out: Whether the evaluation split is apart from the training split.
        teacher: The float model in eval mode.
        training_teacher: Its first output for every training sample; None where samples are
            augmented, so that it must look at each batch.
        evaluation_teacher: The same for every evaluation sample.
        batch_size: Samples a step.
        config: How to train.
    """

    prepared: fx.GraphModule
    training: Samples
    evaluation: Samples
    is_held_out: bool
    teacher: fx.GraphModule
    training_teacher: torch.Tensor | None
    evaluation_teacher: torch.Tensor
    batch_size: int
    config: QATConfig

    @property
    def has_accuracy(self) -> bool:
        """Whether accuracy means something here."""
        return self.is_held_out and self.config.task_loss is TaskLoss.CROSS_ENTROPY

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return step_count(len(self.training), self.batch_size)

    def teach(self, batch: Batch) -> torch.Tensor:
        """Returns the float model's first output for a training batch."""
        if self.training_teacher is not None:
            return self.training_teacher[batch.indices]
        with torch.no_grad():
            return first_output(self.teacher(*batch.inputs))


class Trainer:
    """Runs a task epoch by epoch.

    Attributes:
        step: Optimizer steps done.
    """

    def __init__(
        self, task: Task, generator: torch.Generator, on_progress: Progress, should_stop: ShouldStop
    ) -> None:
        self._task = task
        self._generator = generator
        self._on_progress = on_progress
        self._should_stop = should_stop
        self._optimizer = torch.optim.Adam(task.prepared.parameters(), lr=0.0)
        self._sums = [0.0, 0.0]
        self._summed = 0
        self.step = 0

    def epochs(self) -> Iterator[tuple[int, Evaluation]]:
        """Trains one epoch after the other and yields its number, from 1, and its evaluation.

        Raises:
            TrainingError: a loss or a gradient is not finite.
            Stopped: should_stop said so.
        """
        config = self._task.config
        for epoch in range(1, config.epochs + config.fine_tune_epochs + 1):
            stage = Stage.QAT if epoch <= config.epochs else Stage.FINE_TUNE
            self._run_epoch(stage, epoch)
            evaluation = evaluate(self._task)
            self._report(stage, epoch, evaluation.accuracy)
            yield epoch, evaluation

    def _run_epoch(self, stage: Stage, epoch: int) -> None:
        task = self._task
        task.prepared.train(stage is Stage.QAT)
        for batch in shuffled_batches(task.training, task.batch_size, self._generator, epoch):
            if self._should_stop():
                raise Stopped
            self._set_learning_rate(self._learning_rate(stage))
            self._train(batch)
            self.step += 1
            is_last = self.step % task.steps_per_epoch == 0
            if self.step % REPORT_INTERVAL == 0 and not is_last:
                self._report(stage, epoch, None)

    def _train(self, batch: Batch) -> None:
        task = self._task
        output = first_output(task.prepared(*batch.inputs))
        teacher = task.teach(batch)
        of_task = task_loss(output, batch.labels, task.config.task_loss)
        of_quantization = quantization_loss(output, teacher, task.config.task_loss)
        loss = of_task + task.config.quantization_loss_weight * of_quantization
        self._optimizer.zero_grad()
        loss.backward()
        parameters = list(task.prepared.parameters())
        norm = torch.nn.utils.get_total_norm(
            [parameter.grad for parameter in parameters if parameter.grad is not None]
        )
        # The norm too: fake quantization turns a NaN into a number before it reaches the loss.
        found_loss, found_norm = float(loss.detach()), float(norm)
        if not (math.isfinite(found_loss) and math.isfinite(found_norm)):
            raise TrainingError(
                f"the loss is {found_loss} and the gradient's norm {found_norm} at step "
                f"{self.step + 1}, expected finite values; lower the learning rate",
                step=self.step + 1,
            )
        self._optimizer.step()
        self._sums[0] += float(of_task.detach())
        self._sums[1] += float(of_quantization.detach())
        self._summed += 1

    def _learning_rate(self, stage: Stage) -> float:
        config = self._task.config
        if stage is Stage.FINE_TUNE:
            return config.final_learning_rate
        share = self.step / (config.epochs * self._task.steps_per_epoch)
        return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * share))

    def _set_learning_rate(self, learning_rate: float) -> None:
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate

    def _report(self, stage: Stage, epoch: int, accuracy: float | None) -> None:
        task, config = self._task, self._task.config
        self._on_progress(
            TrainingProgress(
                stage=stage,
                epoch=epoch,
                step=self.step,
                total_steps=(config.epochs + config.fine_tune_epochs) * task.steps_per_epoch,
                task_loss=self._sums[0] / self._summed,
                quantization_loss=self._sums[1] / self._summed,
                learning_rate=self._optimizer.param_groups[0]["lr"],
                accuracy=accuracy,
            )
        )
        self._sums, self._summed = [0.0, 0.0], 0


def evaluate(task: Task) -> Evaluation:
    """Evaluates the prepared graph in eval mode on the evaluation samples."""
    was_training = task.prepared.training
    task.prepared.eval()
    kind = task.config.task_loss
    totals = [0.0, 0.0]
    correct = 0
    with torch.no_grad():
        for batch in ordered_batches(task.evaluation, task.batch_size):
            output = first_output(task.prepared(*batch.inputs))
            teacher = task.evaluation_teacher[batch.indices]
            totals[0] += float(task_loss(output, batch.labels, kind)) * len(batch.indices)
            totals[1] += float(quantization_loss(output, teacher, kind)) * len(batch.indices)
            if task.has_accuracy:
                correct += correct_count(output.numpy(), batch.labels.numpy())
    task.prepared.train(was_training)
    count = len(task.evaluation)
    return Evaluation(
        accuracy=correct / count if task.has_accuracy else None,
        task_loss=totals[0] / count,
        quantization_loss=totals[1] / count,
    )


def teacher_outputs(graph: fx.GraphModule, samples: Samples, batch_size: int) -> torch.Tensor:
    """Returns the first output of the float model in eval mode for all samples."""
    with torch.no_grad():
        parts = [
            first_output(graph(*batch.inputs)) for batch in ordered_batches(samples, batch_size)
        ]
    return torch.cat(parts)


def first_output(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Returns the output that training looks at."""
    return outputs if isinstance(outputs, torch.Tensor) else outputs[0]
