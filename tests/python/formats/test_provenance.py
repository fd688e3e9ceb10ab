"""What is told of where a node comes from, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from smidgen.errors import UnsupportedOperatorError
from smidgen.formats.pt2 import read_pt2
from smidgen.formats.pt2.provenance import MOST_SOURCE, module_path, source_line
from tests.python.formats.pt2_files import Pt2File, export


class Spectrum(nn.Module):
    """Has an operator that is not supported, in a line of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0(x)


class Pair(nn.Module):
    """Has the same and another one."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(nn.ReLU(), Spectrum(), nn.RReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x)


def line_of(text: str) -> int:
    source = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(source, 1) if text in line)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Pt2File:
    path = tmp_path_factory.mktemp("models") / "m.pt2"
    return Pt2File.read(export(path, Pair().eval(), torch.zeros(2, 4)))


def refusal_of(file: Pt2File, path: Path) -> str:
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_pt2(file.write(path))
    return caught.value.message


def test_all_are_told_with_module_and_line(file: Pt2File, tmp_path: Path) -> None:
    message = refusal_of(file, tmp_path / "m.pt2")
    own, call = line_of("return torch.special.i0(x)"), line_of("return self.parts(x)")
    assert (
        "aten.special_i0.default at special_i0 in parts.1 "
        f"(test_provenance.py:{own} in forward); "
        "aten.rrelu.default at rrelu in parts.2 "
        f"(test_provenance.py:{call} in forward)"
    ) in message
    assert str(Path(__file__).parent) not in message


def test_a_file_without_metadata_is_told_without_lines(file: Pt2File, tmp_path: Path) -> None:
    def forget(document: dict) -> None:  # type: ignore[type-arg]
        for node in document["graph_module"]["graph"]["nodes"]:
            node["metadata"] = {}

    message = refusal_of(file.edited(forget), tmp_path / "m.pt2")
    assert "aten.special_i0.default at special_i0; aten.rrelu.default at rrelu." in message


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ('File "/home/me/net.py", line 12, in forward\n  y = f(x)', "net.py:12 in forward"),
        ('File "C:\\nets\\net.py", line 3, in f', "net.py:3 in f"),
        (
            'File "/a.py", line 1, in f\n  File "/x/torch/nn/functional.py", line 9, in relu',
            "a.py:1 in f",
        ),
        ('File "/x/torch/nn/functional.py", line 9, in relu', "functional.py:9 in relu"),
        ('File "a.py", line 1, in f\nFile "b.py", line 2, in g', "b.py:2 in g"),
        ("", ""),
        ("no frame at all", ""),
        ('File "/a.py", line 123456789, in f', ""),
        ('File "/a\x1b[31m\x00.py", line 1, in \u202ef', "a[31m.py:1 in f"),
    ],
)
def test_source_line(trace: str, expected: str) -> None:
    assert source_line({"stack_trace": trace}) == expected


def test_long_names_are_cut() -> None:
    shown = source_line({"stack_trace": f'File "/{"n" * 500}.py", line 1, in f'})
    assert shown == "n" * MOST_SOURCE


def test_of_a_long_trace_the_end_is_looked_at() -> None:
    frames = 'File "/outer.py", line 1, in f\n' * 30_000
    trace = f'{frames}File "/inner.py", line 2, in g'
    assert source_line({"stack_trace": trace}) == "inner.py:2 in g"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("L__self__,,Net;L__self__a,a.0,Conv2d", "a.0"),
        ("L__self__,,Net", ""),
        ("x", ""),
        ("a,b c\x1b,d", ""),
        ("", ""),
    ],
)
def test_module_path(stack: str, expected: str) -> None:
    assert module_path({"nn_module_stack": stack}) == expected
