"""Attention, quantized as one step or plain as several, and tables of rows."""

from __future__ import annotations

import numpy as np
import torch
from torch import fx, nn

from smidgen import program as steps
from smidgen.forms import Form
from smidgen.functional import quantize_weight
from smidgen.graph import modules
from smidgen.passes.operators import module_of, operands
from smidgen.program_writer.writer import ProgramWriter, shape_of
from smidgen.qparams import check_weights, symmetric_weight_scales

_LOWEST = float(np.finfo(np.float32).min)


def embedding(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a table of rows, each quantized with its own scale."""
    module = module_of(writer.graph, node)
    assert isinstance(module, nn.Embedding)
    rows = module.weight.detach().numpy()
    check_weights(rows)
    scales = symmetric_weight_scales(rows)
    table = writer.constant(f"{node.name}.table", quantize_weight(rows, scales))
    table_scale = writer.constant(f"{node.name}.table_scale", scales)
    indices = writer.read(operands(node)[0], Form.PLAIN)
    writer.add(steps.Embedding(indices, writer.define(node), table, table_scale))


def attention(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes attention on quantized rows of all heads."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Attention)
    read = operands(node)
    query, key, value = (writer.read(operand, Form.QUANTIZED) for operand in read[:3])
    masks = [_additive_mask(writer, mask) for mask in read[3:]]
    features = shape_of(node)[2]
    assert features is not None
    writer.add(
        steps.Attention(
            query=query,
            key=key,
            value=value,
            output=writer.define(node),
            heads=module.heads,
            head_size=features // module.heads,
            scale=float(np.float32(module.scale)),
            mask=masks[0] if masks else None,
        )
    )


def scaled_dot_product_attention(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes attention whose heads no pass could join: products and a softmax of floats."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.ScaledDotProductAttention)
    read = operands(node)
    query, key, value = (writer.read(operand, Form.PLAIN) for operand in read[:3])
    shape = (*shape_of(node)[:3], shape_of(read[1])[2])
    scores = writer.plain(node, "products", shape)
    writer.add(steps.MatMul(query, key, scores, transpose_rhs=True))
    factor = writer.plain_constant(node, "scale", np.array([module.scale], np.float32))
    scores = _binary(writer, node, "scores", shape, (scores, factor, "mul"))
    for mask in read[3:]:
        operand = _additive_mask(writer, mask)
        scores = _binary(writer, node, "masked", shape, (scores, operand, "add"))
    if module.is_causal:
        pairs = torch.ones(int(shape[2] or 1), int(shape[3] or 1)).tril().numpy() > 0
        values = np.where(pairs, np.float32(0), np.float32(_LOWEST))[None, None]
        operand = writer.plain_constant(node, "causal", values)
        scores = _binary(writer, node, "causal_scores", shape, (scores, operand, "add"))
    weights = writer.plain(node, "weights", shape)
    writer.add(steps.Softmax(scores, weights, 3))
    writer.add(steps.MatMul(weights, value, writer.define(node)))


def _binary(
    writer: ProgramWriter,
    node: fx.Node,
    role: str,
    shape: tuple[int | None, ...],
    operation: tuple[str, str, str],
) -> str:
    output = writer.plain(node, role, shape)
    lhs, rhs, function = operation
    writer.add(steps.Binary(lhs, rhs, output, function))
    return output


def _additive_mask(writer: ProgramWriter, mask: fx.Node) -> str:
    """Returns what a mask adds to scores: the mask itself, or one made of truth values."""
    source = writer.read(mask, Form.PLAIN)
    if mask.meta.get("dtype") != "bool":
        return source

    def write() -> str:
        kept, left_out = (
            writer.plain_constant(mask, role, np.array([number], np.float32))
            for role, number in (("kept", 0.0), ("left_out", _LOWEST))
        )
        output = writer.plain(mask, "added", shape_of(mask))
        writer.add(steps.Where(source, kept, left_out, output))
        return output

    return writer.once(f"{mask.name}.added", write)
