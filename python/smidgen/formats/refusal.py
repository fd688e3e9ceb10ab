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
        if not np.isfinite(weights[name]).all():
            raise refusal(reason, f"the weight {name[:80]!r} has NaN or infinite elements.")
