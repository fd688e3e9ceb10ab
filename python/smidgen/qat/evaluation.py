"""How good a prepared graph is on the evaluation samples."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from smidgen.classification import correct_count
from smidgen.qat.data import ordered_batches
from smidgen.qat.losses import quantization_loss, task_loss
from smidgen.qat.task import Task
from smidgen.qat.teacher import first_output


@dataclass(frozen=True, slots=True)
class Evaluation:
    """What an evaluation found.

    Attributes:
        accuracy: 0 to 1; None where there is none.
        agreement: Share of the samples whose largest output is the float model's, 0 to 1; None for
            outputs other than [N, classes].
        task_loss: Mean over the samples.
        quantization_loss: Mean over the samples, not weighted.
    """

    accuracy: float | None
    agreement: float | None
    task_loss: float
    quantization_loss: float

    def is_better_than(self, other: Evaluation, weight: float, *, by_agreement: bool) -> bool:
        """Compares accuracies, or agreements where there are no labels, and then whole losses."""
        return self._rank(weight, by_agreement) > other._rank(weight, by_agreement)

    def _rank(self, weight: float, by_agreement: bool) -> tuple[float, float]:
        share = self.agreement if by_agreement else self.accuracy
        return share or 0.0, -(self.task_loss + weight * self.quantization_loss)


def evaluate(task: Task) -> Evaluation:
    """Evaluates the prepared graph on the evaluation samples, and leaves it in eval mode."""
    task.prepared.eval()
    config = task.config
    totals = [0.0, 0.0]
    correct = agreeing = 0
    with torch.no_grad():
        for batch in ordered_batches(task.evaluation, task.batch_size):
            output = first_output(task.prepared(*batch.inputs))
            teacher = task.evaluation_teacher(batch).output
            of_task = task_loss(output, batch.labels, config.task_loss)
            of_quantization = quantization_loss(
                output, teacher, task.distance, config.loss.kl_temperature
            )
            totals[0] += float(of_task) * len(batch.indices)
            totals[1] += float(of_quantization) * len(batch.indices)
            if task.has_accuracy and batch.labels is not None:
                correct += correct_count(output.numpy(), batch.labels.numpy())
            if task.has_agreement:
                agreeing += correct_count(output.numpy(), teacher.numpy().argmax(axis=1))
    count = len(task.evaluation)
    return Evaluation(
        accuracy=correct / count if task.has_accuracy else None,
        agreement=agreeing / count if task.has_agreement else None,
        task_loss=totals[0] / count,
        quantization_loss=totals[1] / count,
    )


def teacher_accuracy(task: Task) -> float | None:
    """Returns the accuracy of the float model on the evaluation samples, if there is one."""
    if not task.has_accuracy:
        return None
    correct = 0
    for batch in ordered_batches(task.evaluation, task.batch_size):
        assert batch.labels is not None
        correct += correct_count(
            task.evaluation_teacher(batch).output.numpy(), batch.labels.numpy()
        )
    return correct / len(task.evaluation)
