"""Which nodes of a fused graph can run, in integers or in plain steps, and why others cannot."""

from __future__ import annotations

from collections.abc import Callable

from torch import fx, nn

from smidgen.errors import UnsupportedOperatorError
from smidgen.graph.modules import Pad
from smidgen.graph.operations import BINARY_KINDS, UNARY_KINDS, OpKind, Shape
from smidgen.node_place import place_of
from smidgen.passes.operators import (
    Kind,
    is_mask_of,
    kind_of,
    kind_of_op,
    module_of,
    operands,
    pair,
    stays_float,
)
from smidgen.plural import counted
from smidgen.pool_limits import average_pool_problem, max_pool_problem
from smidgen.program.step_fields import reached_padding
from smidgen.program.steps import Padding

FLOAT32 = "float32"


def check_convertible(graph: fx.GraphModule) -> None:
    """Checks that every node of a fused graph can become a step.

    Raises:
        UnsupportedOperatorError: some cannot; the message names all of them.
    """
    problems = [
        f"{node.name} ({place_of(node)}): {problem}"
        for node in graph.graph.nodes
        if (problem := step_problem(graph, node)) is not None
    ]
    if problems:
        raise UnsupportedOperatorError(
            f"{counted(len(problems), 'node')} cannot be quantized: {'; '.join(problems)}",
            reason="UNSUPPORTED_COMBINATION",
            node_count=len(problems),
        )


def quantized_problem(graph: fx.GraphModule, node: fx.Node) -> str | None:
    """Says why a node has no integer step; None if it has one."""
    kind = kind_of(node)
    if kind not in _QUANTIZED:
        return f"{node.meta.get('op', kind.value)} has no integer step"
    values = [node, *(value for value in node.all_input_nodes if not is_mask_of(value, node))]
    dtypes = sorted({value.meta.get("dtype", FLOAT32) for value in values} - {FLOAT32})
    if dtypes:
        return f"works on {', '.join(dtypes)}"
    return _QUANTIZED[kind](graph, node)


def plain_problem(graph: fx.GraphModule, node: fx.Node) -> str | None:
    """Says why a node cannot run in steps on values as they are; None if it can."""
    if kind_of(node) in _ENDS:
        return None
    op = node.meta["op"]
    if stays_float(node):
        return None
    return _PLAIN[op](graph, node) if op in _PLAIN else f"{op} has no step on floats"


def max_pool_padding(pool: nn.MaxPool2d, source: fx.Node, node: fx.Node) -> Padding:
    """Returns top, left, bottom and right padding of a max pool."""
    return reached_padding(
        tuple(source.meta["shape"]),
        tuple(node.meta["shape"]),
        kernel=pair(pool.kernel_size),
        stride=pair(pool.stride),
        padding=pair(pool.padding),
        dilation=pair(pool.dilation),
    )


def step_problem(graph: fx.GraphModule, node: fx.Node) -> str | None:
    """Says why a node can become no step at all; None if it can become one."""
    plain, quantized = plain_problem(graph, node), quantized_problem(graph, node)
    if plain is None or quantized is None:
        return None
    return quantized if kind_of(node) in _QUANTIZED else plain


def _anything(_: fx.GraphModule, node: fx.Node) -> str | None:
    return None


def _conv2d(_: fx.GraphModule, node: fx.Node) -> str | None:
    return _expect_rank(node, 4)


def _linear(_: fx.GraphModule, node: fx.Node) -> str | None:
    found = len(node.all_input_nodes[0].meta["shape"])
    return None if found >= 2 else f"reads {found} axes, expected at least 2"


def _add(_: fx.GraphModule, node: fx.Node) -> str | None:
    shapes = {tuple(operand.meta["shape"]) for operand in node.all_input_nodes}
    return None if len(shapes) == 1 else f"adds shapes {sorted(map(str, shapes))}, expected one"


def _multiply(_: fx.GraphModule, node: fx.Node) -> str | None:
    shapes = [tuple(operand.meta["shape"]) for operand in operands(node)]
    if shapes[0] == shapes[1] or any(_scales_channels(*pair) for pair in (shapes, shapes[::-1])):
        return None
    return f"multiplies {shapes[0]} and {shapes[1]}, expected equal ones or [N, C, 1, 1]"


def _scales_channels(image: tuple[object, ...], factor: tuple[object, ...]) -> bool:
    return len(image) == len(factor) == 4 and factor == (*image[:2], 1, 1)


def _max_pool(graph: fx.GraphModule, node: fx.Node) -> str | None:
    pool = module_of(graph, node)
    assert isinstance(pool, nn.MaxPool2d)
    if problem := _expect_rank(node, 4):
        return problem
    return max_pool_problem(
        *_ends_of(node),
        kernel=pair(pool.kernel_size),
        stride=pair(pool.stride),
        padding=pair(pool.padding),
        dilation=pair(pool.dilation),
    )


def _average_pool(graph: fx.GraphModule, node: fx.Node) -> str | None:
    if problem := _expect_rank(node, 4):
        return problem
    if node.meta["op"] == OpKind.GLOBAL_AVERAGE_POOL:
        return None
    pool = module_of(graph, node)
    assert isinstance(pool, nn.AvgPool2d)
    return average_pool_problem(
        *_ends_of(node),
        kernel=pair(pool.kernel_size),
        stride=pair(pool.stride),
        padding=pair(pool.padding),
    )


def _move(graph: fx.GraphModule, node: fx.Node) -> str | None:
    module = module_of(graph, node)
    if isinstance(module, Pad) and module.value != 0.0:
        return f"pads with {module.value}, expected 0"
    return None


def _expect_rank(node: fx.Node, rank: int) -> str | None:
    found = len(node.all_input_nodes[0].meta["shape"])
    return None if found == rank else f"reads {found} axes, expected {rank}"


def _ends_of(node: fx.Node) -> tuple[Shape, Shape]:
    """Returns the shapes that a node reads and gives."""
    return tuple(node.all_input_nodes[0].meta["shape"]), tuple(node.meta["shape"])


Check = Callable[[fx.GraphModule, fx.Node], str | None]

_ENDS = frozenset({Kind.INPUT, Kind.CONSTANT, Kind.OUTPUT})

_QUANTIZED: dict[Kind, Check] = {
    Kind.CONV: _conv2d,
    Kind.CONV_TRANSPOSE: _conv2d,
    Kind.LINEAR: _linear,
    Kind.CLAMP: _anything,
    Kind.UNARY: _anything,
    Kind.CONCAT: _anything,
    Kind.ADD: _add,
    Kind.MULTIPLY: _multiply,
    Kind.MAX_POOL: _max_pool,
    Kind.AVERAGE_POOL: _average_pool,
    Kind.RESIZE: _anything,
    Kind.RESHAPE: _anything,
    Kind.MOVE: _move,
    Kind.ATTENTION: _anything,
}
"""What has integer steps, and what they cannot do."""

_PLAIN: dict[OpKind, Check] = {
    **dict.fromkeys(UNARY_KINDS | BINARY_KINDS, _anything),
    **dict.fromkeys(
        (
            OpKind.ADD, OpKind.MULTIPLY, OpKind.NOT, OpKind.COMPARE, OpKind.WHERE, OpKind.CAST,
            OpKind.CONCAT, OpKind.FLATTEN, OpKind.RESHAPE, OpKind.TRANSPOSE, OpKind.SLICE,
            OpKind.EXPAND, OpKind.BATCH_NORM, OpKind.LAYER_NORM, OpKind.SOFTMAX, OpKind.REDUCE,
            OpKind.GLOBAL_AVERAGE_POOL, OpKind.MATMUL, OpKind.PAD, OpKind.PRELU,
            OpKind.GROUP_NORM, OpKind.LOG_SOFTMAX,
            OpKind.DYNAMIC_LINEAR, OpKind.EMBEDDING, OpKind.SCALED_DOT_PRODUCT_ATTENTION,
        ),
        _anything,
    ),
}  # fmt: skip
"""What has steps on plain values, and what they cannot do."""


def steps_of(op: OpKind) -> tuple[bool, bool]:
    """Tells whether an operation may have an integer step, and whether it has plain ones."""
    return kind_of_op(op) in _QUANTIZED, op in _PLAIN
