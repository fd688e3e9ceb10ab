"""A table of a graph for people. Needs no torch."""

from __future__ import annotations

from smidgen.graph.exported import ExportedModel
from smidgen.graph.shapes import show


def format_model(model: ExportedModel) -> str:
    """Returns one line for each input, node and output, by the names of the torch graph."""
    count = len(model.inputs)
    names = [f"x{index}" for index in range(count)]
    names += [f"v{index}" for index in range(len(model.nodes))]
    rows = [
        (name, "input", "", show(spec.shape), spec.name)
        for name, spec in zip(names, model.inputs, strict=False)
    ]
    for node in model.nodes:
        inputs = " ".join(names[value] for value in node.inputs)
        kind = node.operation.kind.value
        rows.append((names[node.output], kind, inputs, show(node.shape), node.module_path))
    for spec, value in zip(model.outputs, model.output_values, strict=True):
        rows.append(("", "output", names[value], show(spec.shape), spec.name))
    return _align([("name", "op", "inputs", "shape", "from"), *rows])


def _align(rows: list[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
