"""The float model as a teacher: its outputs, and those of some of its layers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import fx

from smidgen.qat.data import Batch, Samples, ordered_batches
from smidgen.qat.features import Feature, with_outputs

MOST_KEPT_BYTES = 256 << 20
"""Outputs of more bytes than this are computed anew in each step."""


@dataclass(frozen=True, slots=True)
class Lesson:
    """What the float model gives for a batch: its first output, and the values of features."""

    output: torch.Tensor
    features: tuple[torch.Tensor, ...] = ()


class Teacher:
    """Gives the float model's values for the batches of one set of samples.

    Without features, and where all outputs are small, they are computed once and kept.

    Args:
        fused: The float graph in eval mode, from fuse_for_inference.
        features: Layers whose values are wanted too.
    """

    def __init__(self, fused: fx.GraphModule, features: Sequence[Feature] = ()) -> None:
        self._graph = with_outputs(fused, [feature.source for feature in features])
        self._has_features = bool(features)
        self._kept: torch.Tensor | None = None

    def keep(self, samples: Samples, batch_size: int, *, most_bytes: int = MOST_KEPT_BYTES) -> None:
        """Computes the outputs of all samples now, if they are few enough to be kept."""
        if self._has_features:
            return
        parts: list[torch.Tensor] = []
        for batch in ordered_batches(samples, batch_size):
            output = self._compute(batch).output
            if output[0].numel() * output.element_size() * len(samples) > most_bytes:
                return
            parts.append(output)
        self._kept = torch.cat(parts)

    def __call__(self, batch: Batch) -> Lesson:
        """Returns the values for a batch of the samples that `keep` was given."""
        if self._kept is not None:
            return Lesson(self._kept[batch.indices])
        return self._compute(batch)

    def _compute(self, batch: Batch) -> Lesson:
        with torch.no_grad():
            outputs, features = self._graph(*batch.inputs)
        return Lesson(first_output(outputs), features)


def first_output(outputs: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    """Returns the output that training looks at."""
    return outputs if isinstance(outputs, torch.Tensor) else outputs[0]
