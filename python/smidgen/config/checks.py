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
        low = f"above {in_digits(above)}" if above > -math.inf else f"at least {in_digits(least)}"
        raise InvalidConfigError(
            f"{name} is {value}, expected a value {low} and at most {in_digits(most)}",
            field=name,
            found=value,
        )


def in_digits(value: float) -> str:
    """Writes a number for people: whole ones with all their digits, as 1e+06 is no seed or size."""
    is_whole = isinstance(value, int) or value.is_integer()
    return f"{int(value)}" if is_whole else f"{value:g}"


def check_applies(
    name: str, value: float | str | None, *, default: object, applies: bool, needs: str
) -> None:
    """Checks that an option is only set where it changes something.

    Args:
        name: The option.
        value: What it is.
        default: What it is where nobody sets it.
        applies: Whether it counts here.
        needs: The option and value with which it would.

    Raises:
        InvalidConfigError: it would be ignored; the error names the field.
    """
    if value != default and not applies:
        raise InvalidConfigError(
            f"{name} is {value}, which counts only with {needs}; leave it out, or set that too",
            reason="OPTION_NOT_APPLICABLE",
            field=name,
        )
