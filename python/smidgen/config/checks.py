"""Checks of options."""

from __future__ import annotations

import math

from smidgen.errors import InvalidConfigError


def check_within(
    name: str,
    value: float,
    *,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
) -> None:
    """Checks that a number is finite and within bounds.

    Raises:
        InvalidConfigError: it is not; the error names the field.
    """
    if not (math.isfinite(value) and least <= value <= most and value > above):
        low = f"above {above:g}" if above > -math.inf else f"at least {least:g}"
        raise InvalidConfigError(
            f"{name} is {value}, expected a value {low} and at most {most:g}",
            field=name,
            found=value,
        )
