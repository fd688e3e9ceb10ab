"""Agreement with the float net."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks.accuracy.agreement import (
    Agreement,
    compare,
    markdown,
    read_agreements,
    write_agreements,
)

WANTED = np.array([[3.0, 1.0], [0.0, 2.0], [1.0, 0.0], [5.0, 4.0]], np.float32)


def test_compare_counts_equal_largest_logits() -> None:
    found = WANTED.copy()
    found[0] = [1.0, 3.0]
    row = compare("form", WANTED, found)
    assert (row.agreeing, row.count, row.percent) == (3, 4, 75.0)
    # Squares: 9 + 1 + 4 + 1 + 25 + 16 = 56 of signal, 2 * 4 = 8 of noise.
    assert row.sqnr_db == pytest.approx(10 * np.log10(56 / 8))


def test_equal_logits_have_no_noise() -> None:
    assert compare("form", WANTED, WANTED) == Agreement("form", 4, 4, None)


def test_rows_of_the_table() -> None:
    table = markdown([Agreement("a", 912, 1000, 17.26), Agreement("b", 1000, 1000, None)])
    assert table.splitlines()[2:] == ["| a | 91.2 % | 17.3 dB |", "| b | 100.0 % | no noise |"]


def test_file_keeps_rows_and_settings(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    write_agreements(path, {"cpu": "x"}, {"crops": 4}, [Agreement("a", 3, 4, 8.5)])
    assert json.loads(path.read_text()) == {
        "cpu": "x",
        "settings": {"crops": 4},
        "rows": [{"form": "a", "agreeing": 3, "count": 4, "sqnr_db": 8.5}],
    }


def test_rows_are_read_back_under_the_same_settings(tmp_path: Path) -> None:
    path = tmp_path / "rows.json"
    settings, rows = {"crops": (4, 2)}, [Agreement("a", 3, 4, 8.5), Agreement("b", 4, 4, None)]
    assert read_agreements(path, settings) == []
    write_agreements(path, {"cpu": "x"}, settings, rows)
    assert read_agreements(path, settings) == rows
    with pytest.raises(ValueError, match="other settings"):
        read_agreements(path, {"crops": (4, 3)})
