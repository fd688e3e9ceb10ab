"""Nouns after numbers."""

from __future__ import annotations


def counted(count: int, noun: str) -> str:
    """Counts things.

    >>> counted(1, "batch"), counted(3, "batch"), counted(0, "layer")
    ('1 batch', '3 batches', '0 layers')
    """
    ending = "" if count == 1 else ("es" if noun.endswith("ch") else "s")
    return f"{count} {noun}{ending}"
