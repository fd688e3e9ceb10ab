"""Numbers for people."""

from __future__ import annotations

from smidgen.plural import counted

_UNITS = ("B", "KiB", "MiB", "GiB")


def size(count: int) -> str:
    """Returns bytes in the unit that leaves up to four digits."""
    value, unit = float(count), 0
    while value >= 1024 and unit + 1 < len(_UNITS):
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} {_UNITS[unit]}" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def percent(share: float, digits: int = 1) -> str:
    """Returns a share of 1 in percent; one that would be rounded to 0 is said to be below a digit.

    >>> percent(0.5), percent(0.00001, 2), percent(0.0)
    ('50.0 %', '<0.01 %', '0.0 %')
    """
    least = 10.0**-digits
    if 0.0 < 100 * share < least / 2:
        return f"<{least:.{digits}f} %"
    return f"{100 * share:.{digits}f} %"


def short(value: float) -> str:
    """Returns up to four digits."""
    return f"{value:.4g}"


def duration(microseconds: float) -> str:
    """Returns a time in the unit that suits it."""
    if microseconds >= 1000:
        return f"{microseconds / 1000:.2f} ms"
    return f"{microseconds:.1f} µs"


def count_of(count: int, noun: str) -> str:
    """Counts things that are.

    >>> count_of(1, "layer"), count_of(3, "layer")
    ('1 layer is', '3 layers are')
    """
    return f"{counted(count, noun)} {'is' if count == 1 else 'are'}"
