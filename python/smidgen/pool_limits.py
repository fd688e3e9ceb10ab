"""What pools can have no integer step, told from their numbers. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.graph.exported import ExportedModel, ExportedNode
from smidgen.graph.operations import AveragePool, MaxPool, Pair, Shape
from smidgen.program.step_fields import reached_padding

_MOST_NAMED = 8


def max_pool_problem(
    source: Shape, result: Shape, *, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> str | None:
    """Says why a max pool from [N, C, H, W] to [N, C, OH, OW] has no step; None if it has one."""
    found = reached_padding(
        source, result, kernel=kernel, stride=stride, padding=padding, dilation=dilation
    )
    most = [(dilation[i % 2] * (kernel[i % 2] - 1) + 1) // 2 for i in range(4)]
    if any(reached > limit for reached, limit in zip(found, most, strict=True)):
        return f"padding is {found}, expected at most half a window; set ceil_mode=False"
    return None


def average_pool_problem(
    source: Shape, result: Shape, *, kernel: Pair, stride: Pair, padding: Pair
) -> str | None:
    """Says the same of an average pool."""
    counts = tuple(
        ((extent or 1) + 2 * padding[i] - kernel[i]) // stride[i] + 1
        for i, extent in enumerate(source[2:])
    )
    if counts != tuple(extent or 1 for extent in result[2:]):
        return "an average pool rounds its extent up; set ceil_mode=False"
    return None


def pool_warnings(model: ExportedModel) -> tuple[str, ...]:
    """Warns of the pools for which calibration and conversion will refuse a model."""
    found = list(_problems(model))
    if not found:
        return ()
    more = f"; and {len(found) - _MOST_NAMED} more" if len(found) > _MOST_NAMED else ""
    return (
        "Calibration and conversion will refuse this model for pools that cannot be quantized: "
        f"{'; '.join(found[:_MOST_NAMED])}{more}. Change it and export it again",
    )


def _problems(model: ExportedModel) -> Iterator[str]:
    shapes: dict[int, Shape] = {number: spec.shape for number, spec in enumerate(model.inputs)}
    for node in model.nodes:
        shapes[node.output] = node.shape
        problem = _problem(node, shapes)
        if problem is not None:
            yield f"{node.module_path or node.label} ({problem})"


def _problem(node: ExportedNode, shapes: dict[int, Shape]) -> str | None:
    operation = node.operation
    if not isinstance(operation, MaxPool | AveragePool):
        return None
    source = shapes[node.inputs[0]]
    if len(source) != 4:
        return f"reads {len(source)} axes, expected 4"
    kernel, stride, padding = operation.kernel, operation.stride, operation.padding
    if isinstance(operation, AveragePool):
        return average_pool_problem(
            source, node.shape, kernel=kernel, stride=stride, padding=padding
        )
    return max_pool_problem(
        source,
        node.shape,
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=operation.dilation,
    )
