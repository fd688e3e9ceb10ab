"""Small .pt2 files that would take much time or memory if they were believed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from smidgen.formats.pt2 import Pt2Reason as R
from tests.python.formats.corpus.pt2_programs import INT64, call, file_of, ref, tensor
from tests.python.formats.pt2_files import MODEL, Pt2File

MOST = (1 << 31) - 1
UNSUPPORTED = "UNSUPPORTED_OPERATOR"


def _filled() -> Pt2File:
    """Returns a file with a hundred constants of 8 MB each."""
    size = {"as_ints": [1 << 21]}
    names = [f"c{index}" for index in range(100)]
    nodes = [call("zeros.default", name, size=size) for name in names]
    values = {name: tensor(1 << 21) for name in names} | {"x": tensor(None, 3)}
    return file_of(nodes, values, "x")


def _ranges() -> Pt2File:
    names = [f"c{index}" for index in range(100)]
    nodes = [call("arange.default", name, end={"as_int": 1 << 21}) for name in names]
    values = {name: tensor(1 << 21, dtype=INT64) for name in names} | {"x": tensor(None, 3)}
    return file_of(nodes, values, "x")


def _parts(operator: str, **arguments: Any) -> Pt2File:
    """Returns a file that takes an input of 2^31 - 1 columns apart."""
    node = call(operator, "a", "b", self=ref("x"), dim={"as_int": 1}, **arguments)
    return file_of([node], {"x": tensor(None, MOST), "a": tensor(None, 1)}, "a")


def _paddings() -> Pt2File:
    """Returns a file with 1,000 reflections, each of which means 63 operations."""
    names = [f"y{index}" for index in range(1_000)]
    pad, mode = {"as_ints": [30, 31]}, {"as_string": "reflect"}
    nodes = [call("pad.default", name, self=ref("x"), pad=pad, mode=mode) for name in names]
    values = {name: tensor(None, 101) for name in names} | {"x": tensor(None, 40)}
    return file_of(nodes, values, "y999")


def _many_outputs() -> Pt2File:
    names = [f"y{index}" for index in range(4_000)]
    values = {name: tensor(None, 3) for name in names} | {"x": tensor(None, 3)}
    return file_of([call("relu.default", *names, self=ref("x"))], values, "y0")


def _unknown_nodes() -> Pt2File:
    """Returns a file with 4,000 nodes of one operator that is not supported."""
    nodes = [call("nothing.default", f"y{index}", self=ref("x")) for index in range(4_000)]
    return file_of(nodes, {"x": tensor(None, 3)}, "y0")


def _written_aliases() -> Pt2File:
    """Returns a file with 1,500 names of one value, and as many operators that write to it."""
    count = 1_500
    nodes = [call("dropout.default", f"a{index}", input=ref("x"), p={"as_float": 0.5},
                  train={"as_bool": False}) for index in range(count)]  # fmt: skip
    nodes += [call("relu_.default", f"b{index}", self=ref("x")) for index in range(count)]
    nodes += [call("nothing.default", "y", self=ref("x"))]
    shape = tensor(None, 3)
    values = {f"{letter}{index}": shape for letter in "ab" for index in range(count)}
    return file_of(nodes, values | {"x": shape, "y": shape}, "y")


def _text(data: bytes) -> Pt2File:
    return file_of([], {"x": tensor(None, 3)}, "x").replaced({MODEL: data})


def _unused_values() -> Pt2File:
    """Returns a file with 4,000 values that no operator defines."""
    values = {f"ghost{index}": tensor(None, 3) for index in range(4_000)}
    return file_of([], values | {"x": tensor(None, 3)}, "x")


PT2_BOMBS: dict[str, tuple[Callable[[], Pt2File], str]] = {
    "constants of zeros": (_filled, UNSUPPORTED),
    "constants of numbers": (_ranges, UNSUPPORTED),
    "unbind into 2^31 parts": (lambda: _parts("unbind.int"), UNSUPPORTED),
    "split into 2^31 parts": (
        lambda: _parts("split.Tensor", split_size={"as_int": 1}),
        UNSUPPORTED,
    ),
    "chunk into 2^31 parts": (
        lambda: _parts("chunk.default", chunks={"as_int": MOST}),
        UNSUPPORTED,
    ),
    "outputs that an operator does not have": (_many_outputs, R.BAD_ARGUMENT),
    "many unsupported nodes": (_unknown_nodes, UNSUPPORTED),
    "many writes to many names": (_written_aliases, UNSUPPORTED),
    "many values that no operator defines": (_unused_values, R.UNUSED_VALUE),
    "operators that mean many operations": (_paddings, R.TOO_LARGE),
    "text of empty lists": (
        lambda: _text(b"[" + b"[]," * 2_000_000 + b"[]]"),
        "JSON_TOO_LARGE",
    ),
    "more entries than the cap": (
        lambda: _text(b"{}").replaced({f"extra/{index}": b"" for index in range(16_384)}),
        "ZIP_TOO_MANY_ENTRIES",
    ),
    "program over the cap": (lambda: _text(b" " * ((32 << 20) + 1)), R.TOO_LARGE),
}
