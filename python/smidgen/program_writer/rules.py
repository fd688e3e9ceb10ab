"""The table of rules: how each kind of operation becomes steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from torch import fx

from smidgen.graph.operations import BINARY_KINDS, UNARY_KINDS, OpKind
from smidgen.node_place import naming
from smidgen.passes.operators import Kind, kind_of, stays_float
from smidgen.program_writer import (
    attention,
    elementwise,
    float_layers,
    layers,
    movement,
    normalization,
    pools,
    reductions,
)
from smidgen.program_writer.writer import ProgramWriter

Rule = Callable[[ProgramWriter, fx.Node], None]

RULES: Mapping[OpKind, Rule] = {
    **dict.fromkeys(UNARY_KINDS, elementwise.unary),
    **dict.fromkeys(BINARY_KINDS, elementwise.plain_binary),
    OpKind.NOT: elementwise.unary,
    OpKind.PRELU: elementwise.prelu,
    OpKind.COMPARE: elementwise.compare,
    OpKind.WHERE: elementwise.where,
    OpKind.CAST: elementwise.cast,
    OpKind.CONV2D: layers.conv2d,
    OpKind.CONV_TRANSPOSE2D: layers.conv_transpose2d,
    OpKind.LINEAR: layers.linear,
    OpKind.DYNAMIC_LINEAR: layers.dynamic_linear,
    OpKind.BATCH_NORM: normalization.batch_norm,
    OpKind.LAYER_NORM: normalization.layer_norm,
    OpKind.EMBEDDING: attention.embedding,
    OpKind.ATTENTION: attention.attention,
    OpKind.SCALED_DOT_PRODUCT_ATTENTION: attention.scaled_dot_product_attention,
    OpKind.GROUP_NORM: normalization.group_norm,
    OpKind.SOFTMAX: reductions.softmax,
    OpKind.LOG_SOFTMAX: reductions.log_softmax,
    OpKind.REDUCE: reductions.reduce,
    OpKind.MATMUL: reductions.matmul,
    OpKind.ADD: elementwise.add,
    OpKind.MULTIPLY: elementwise.multiply,
    OpKind.MAX_POOL: pools.max_pool,
    OpKind.AVERAGE_POOL: pools.average_pool,
    OpKind.GLOBAL_AVERAGE_POOL: pools.average_pool,
    OpKind.RESIZE: pools.resize,
    OpKind.FLATTEN: movement.reshape,
    OpKind.RESHAPE: movement.reshape,
    OpKind.CONCAT: movement.concat,
    OpKind.TRANSPOSE: movement.transpose,
    OpKind.SLICE: movement.slice_axis,
    OpKind.EXPAND: movement.expand,
    OpKind.PAD: movement.pad,
}


FLOAT_RULES: Mapping[OpKind, Rule] = {
    OpKind.CONV2D: float_layers.conv2d,
    OpKind.CONV_TRANSPOSE2D: float_layers.conv_transpose2d,
    OpKind.LINEAR: float_layers.linear,
}
"""Of the layers that stay in float; the rules of other operations write both forms."""


def write_node(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes the steps of one node."""
    kind = kind_of(node)
    if kind is Kind.INPUT:
        writer.add_input(node)
    elif kind is Kind.OUTPUT:
        writer.add_outputs(node)
    elif kind is not Kind.CONSTANT:  # a constant is written where it is read
        op = node.meta["op"]
        with naming(node):
            rule = FLOAT_RULES.get(op, RULES[op]) if stays_float(node) else RULES[op]
            rule(writer, node)
