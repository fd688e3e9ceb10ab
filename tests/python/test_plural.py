"""Nouns after numbers."""

from __future__ import annotations

import pytest

from smidgen.plural import counted


@pytest.mark.parametrize(
    ("count", "noun", "expected"),
    [
        (0, "layer", "0 layers"),
        (1, "layer", "1 layer"),
        (2, "layer", "2 layers"),
        (1, "batch", "1 batch"),
        (12, "batch", "12 batches"),
        (1, "evaluation sample", "1 evaluation sample"),
    ],
)
def test_nouns_agree_with_their_number(count: int, noun: str, expected: str) -> None:
    assert counted(count, noun) == expected
