"""Files that consist of example inputs say so."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from smidgen.formats.pt2 import read_pt2
from smidgen.formats.pt2.examples import example_warnings
from smidgen.inspection import inspect_file
from tests.python.formats.pt2_files import export

MIB = 1 << 20


def test_an_example_that_is_a_part_of_a_data_set_warns(tmp_path: Path) -> None:
    data = torch.zeros(5 * MIB // 16, 4)
    path = export(tmp_path / "m.pt2", nn.Linear(4, 2), data[:3])
    (warning,) = inspect_file(path).warnings
    assert f"of the file's {path.stat().st_size:,} bytes are the example inputs" in warning
    assert "export with X[:2].clone()" in warning
    assert int(warning.split()[0].replace(",", "")) > 5 * MIB


def test_one_of_its_own_does_not(tmp_path: Path) -> None:
    data = torch.zeros(5 * MIB // 16, 4)
    path = export(tmp_path / "m.pt2", nn.Linear(4, 2), data[:3].clone())
    assert read_pt2(path).warnings == ()


def test_neither_few_bytes_nor_a_small_part_are_told() -> None:
    assert example_warnings(4 * MIB, 5 * MIB) == ()
    assert example_warnings(5 * MIB, 10 * MIB + 1) == ()
    assert len(example_warnings(5 * MIB, 10 * MIB)) == 1
