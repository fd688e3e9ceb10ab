"""What training minimizes: the loss of the task and the distance to the float model."""

from __future__ import annotations

import torch
from torch.nn import functional

from smidgen.config import DistanceKind, TaskLoss


def task_loss(
    output: torch.Tensor,
    labels: torch.Tensor | None,
    loss: TaskLoss,
    *,
    label_smoothing: float = 0.0,
) -> torch.Tensor:
    """Returns the mean loss of a batch; 0 where there is no task.

    Shapes: for cross-entropy output [N, classes] and labels [N] int64; for the others both of one
    shape. For binary cross-entropy the output is logits and labels go from 0 to 1.
    """
    if loss is TaskLoss.NONE:
        return output.new_zeros(())
    assert labels is not None
    if loss is TaskLoss.CROSS_ENTROPY:
        return functional.cross_entropy(output, labels, label_smoothing=label_smoothing)
    if loss is TaskLoss.L1:
        return functional.l1_loss(output, labels)
    if loss is TaskLoss.BCE:
        return functional.binary_cross_entropy_with_logits(output, labels)
    return functional.mse_loss(output, labels)


def quantization_loss(
    output: torch.Tensor, teacher: torch.Tensor, kind: DistanceKind, temperature: float = 1.0
) -> torch.Tensor:
    """Returns the mean distance of an output to the float model's output for the same samples.

    KL(softmax(teacher / T) || softmax(output / T)) * T**2 along axis 1, the mean over all other
    axes, or the mean squared error. T**2 keeps the size of the gradient as T changes.
    Shapes: output and teacher of one shape, for KL of two axes or more.
    Source: Hinton et al. 2015, "Distilling the Knowledge in a Neural Network", section 2.
    """
    if kind is DistanceKind.MSE:
        return functional.mse_loss(output, teacher)
    divergence = functional.kl_div(
        functional.log_softmax(output / temperature, dim=1),
        functional.log_softmax(teacher / temperature, dim=1),
        reduction="sum",
        log_target=True,
    )
    return divergence * (temperature**2 * output.shape[1] / output.numel())


def feature_distance(values: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
    """Returns the mean squared error as a share of the mean square of the float values.

    Values that are 0 everywhere count as if their mean square were the smallest normal float.
    """
    power = teacher.square().mean().clamp(min=torch.finfo(torch.float32).tiny)
    return (values - teacher).square().mean() / power
