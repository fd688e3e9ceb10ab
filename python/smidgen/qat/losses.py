"""What training minimizes: the loss of the task and the distance to the float model."""

from __future__ import annotations

import torch
from torch.nn import functional

from smidgen.config import TaskLoss


def task_loss(output: torch.Tensor, labels: torch.Tensor, loss: TaskLoss) -> torch.Tensor:
    """Returns the mean loss of a batch.

    Shapes: for cross-entropy output [N, classes] and labels [N] int64; for the mean squared error
    both of one shape.
    """
    if loss is TaskLoss.CROSS_ENTROPY:
        return functional.cross_entropy(output, labels)
    return functional.mse_loss(output, labels)


def quantization_loss(output: torch.Tensor, teacher: torch.Tensor, loss: TaskLoss) -> torch.Tensor:
    """Returns the mean distance of an output to the float model's output for the same samples.

    For classification the Kullback-Leibler divergence KL(softmax(teacher) || softmax(output)),
    otherwise the mean squared error. Shapes: output and teacher of one shape.
    """
    if loss is TaskLoss.CROSS_ENTROPY:
        return functional.kl_div(
            functional.log_softmax(output, dim=1),
            functional.log_softmax(teacher, dim=1),
            reduction="batchmean",
            log_target=True,
        )
    return functional.mse_loss(output, teacher)
