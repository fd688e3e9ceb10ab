"""How a model file is refused, whatever its format."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidModelError


def refusal(reason: StrEnum, found: str, **metadata: str | int | float) -> InvalidModelError:
    """Makes the error for a file that is refused.

    Args:
        reason: Its stable reason.
        found: What was found and what was expected, a sentence.
        metadata: The variable parts of the sentence.
    """
    return InvalidModelError(f"The model cannot be read: {found}", reason=reason.value, **metadata)


def refuse_not_finite(
    weights: Mapping[str, NDArray[np.generic]], used: Collection[str], reason: StrEnum
) -> None:
    """Refuses a model with a weight that is not finite.

    Args:
        weights: The arrays by name.
        used: The names of those that the graph reads.
        reason: The stable reason.

    Raises:
        InvalidModelError: With the reason.
    """
    for name in sorted(used):
        array = weights[name]
        is_finite = np.isfinite(array)
        if not is_finite.all():
            index = [int(place) for place in np.unravel_index(is_finite.argmin(), array.shape)]
            others = is_finite.size - np.count_nonzero(is_finite) - 1
            raise refusal(
                reason,
                f"the weight {name[:80]!r} of shape {list(array.shape)} has {array[tuple(index)]} "
                f"at {index}{f' and {others} more such elements' if others else ''}, expected "
                "finite ones. Train or export the model anew.",
                weight=name[:80],
                index=str(index),
            )
