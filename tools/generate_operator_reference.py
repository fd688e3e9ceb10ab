"""Writes docs/operators.md from the operator table; `--check` fails if it differs."""

from __future__ import annotations

import sys
from pathlib import Path

from smidgen.convertible import steps_of
from smidgen.graph.arguments import Type
from smidgen.graph.operations import OpKind
from smidgen.graph.operator import Operator
from smidgen.graph.operator_table import OPERATORS

PAGE = Path(__file__).resolve().parent.parent / "docs" / "operators.md"

HEAD = """\
# Operators

This page is generated from the code by `python tools/generate_operator_reference.py`.

A model is a graph of ATen operators, which become the operations of the second table. A model with
any other operator is refused when it is read, with every node that uses one; so is an operator in a
form that no rule covers, such as one that works along the axis of the samples.

An operation with an integer step runs on uint8 values where its surroundings do. What has none runs
on float32 values in the engine, between a Dequantize and a Quantize; the operations of such an
island pass floats on to each other. `docs/arithmetic.md` defines both to the bit.

## ATen operators

| Operator | In place too | Arguments |
|---|---|---|
"""

OPERATIONS = """
## Operations

| Operation | Integer step | Float steps |
|---|---|---|
"""

NOTES = {
    OpKind.BATCH_NORM: "folded into the layer before it, or a convolution of its own",
    OpKind.DROPOUT: "removed",
    OpKind.IDENTITY: "removed",
    OpKind.QUANTIZED: "stated by quantized ONNX models alone",
    OpKind.TABULATED: "stated by quantized ONNX models alone",
    OpKind.CONSTANT: "rounded where integers read it",
    OpKind.ADD: "of one shape",
    OpKind.MULTIPLY: "of one shape, or one [N, C, 1, 1]",
    OpKind.PAD: "with zeros",
    OpKind.AVERAGE_POOL: "without ceil_mode",
    OpKind.CONV2D: "weights of each output channel with a scale of their own",
    OpKind.CONV_TRANSPOSE2D: "weights of each output channel with a scale of their own",
    OpKind.LINEAR: "weights of each output channel with a scale of their own",
}
"""What the integer step cannot do, or what happens instead."""


def page() -> str:
    """Returns the page."""
    rows = [_operator_row(row) for _, row in sorted(OPERATORS.items()) if not row.is_in_place]
    operations = [_operation_row(op) for op in OpKind]
    return HEAD + "\n".join(rows) + "\n" + OPERATIONS + "\n".join(operations) + "\n"


def _operator_row(row: Operator) -> str:
    base, overload = row.name.split(".", 1)
    in_place = "yes" if f"{base}_.{overload}" in OPERATORS else ""
    names = [
        f"`{parameter.name}`" if parameter.is_required else f"[`{parameter.name}`]"
        for parameter in row.parameters
        if parameter.type is not Type.IGNORED
    ]
    return f"| `aten.{row.name}` | {in_place} | {', '.join(names)} |"


def _operation_row(op: OpKind) -> str:
    has_integer, has_plain = steps_of(op)
    note = NOTES.get(op, "")
    integer = ", ".join(filter(None, ["yes" if has_integer else "", note]))
    return f"| {op.value} | {integer} | {'yes' if has_plain else ''} |"


def main() -> None:
    """Writes the page, or compares it."""
    if "--check" not in sys.argv[1:]:
        PAGE.write_text(page())
    elif not PAGE.exists() or PAGE.read_text() != page():
        sys.exit("docs/operators.md is out of date, run `make reference`")


if __name__ == "__main__":
    main()
