"""Names that nothing else has."""

from __future__ import annotations


def free_name(name: str, taken: set[str]) -> str:
    """Returns the name, with underscores behind it while it is taken."""
    while name in taken:
        name += "_"
    return name
