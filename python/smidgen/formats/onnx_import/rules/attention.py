"""The ONNX operator Attention, opset 23 and later."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.formats.onnx_import.call import Call, Result, extents_as_seen
from smidgen.formats.onnx_import.rules.masks import AdditiveMask
from smidgen.graph.arguments import ArgumentError, Size, Tensor, UnsupportedCase

_OPERANDS = 4  # query, key, value and mask


def attention(call: Call) -> Sequence[Result]:
    """Attention of [N, H, S, D], or of [N, S, H * D] with the number of heads stated."""
    if any(call.has(index) for index in range(_OPERANDS, len(call.inputs))):
        raise UnsupportedCase("keys and values of earlier calls")
    if call.number("softcap", 0.0) != 0:
        raise UnsupportedCase("a soft cap of the scores")
    operands = [call.input(index) for index in range(3)]
    ranks = {len(operand.shape) for operand in operands}
    if ranks == {4}:
        return call.aten("scaled_dot_product_attention.default", **_arguments(call, operands))
    if ranks != {3}:
        raise ArgumentError("its query, key and value have other than three or four axes")
    heads = call.integer("q_num_heads")
    if call.integer("kv_num_heads") != heads:
        raise UnsupportedCase("heads of queries that share keys and values")
    split = [_split(call, operand, heads) for operand in operands]
    result = call.one("scaled_dot_product_attention.default", **_arguments(call, split))
    rows = call.one("permute.default", self=result, dims=(0, 2, 1, 3))
    batch, tokens, _, features = _sizes(rows)
    shape = (batch, tokens, heads * _number(features))
    return call.aten("reshape.default", self=rows, shape=shape)


def _arguments(call: Call, operands: Sequence[Tensor]) -> dict[str, Tensor | float | bool | None]:
    query, key, value = operands
    if len({operand.shape[1] for operand in operands}) != 1:
        raise UnsupportedCase("heads of queries that share keys and values")
    mask, is_causal = _mask(call), call.integer("is_causal", 0) != 0
    if mask is not None and mask.shape[-1:] != key.shape[2:3]:
        raise UnsupportedCase("a mask for a part of the keys, which leaves out the others")
    if mask is not None and is_causal:
        raise UnsupportedCase("a mask beside is_causal: add what is causal to the mask")
    has_scale = "scale" in call.attributes
    return {
        "query": query, "key": key, "value": value, "attn_mask": mask, "is_causal": is_causal,
        "scale": call.number("scale", 1.0) if has_scale else None,
    }  # fmt: skip


def _mask(call: Call) -> Tensor | None:
    """Returns the mask: truth values, also where the file has 0 and -inf for them, or floats."""
    if not call.has(3):
        return None
    found = call.operand(3)
    return found.mask if isinstance(found, AdditiveMask) else call.input(3)


def _split(call: Call, value: Tensor, heads: int) -> Tensor:
    """Makes [N, H, S, D] of [N, S, H * D]."""
    batch, tokens, features = _sizes(value)
    width = _number(features)
    if heads < 1 or width % heads:
        raise ArgumentError(f"it splits {width} features into {heads} heads")
    cut = call.one("reshape.default", self=value, shape=(batch, tokens, heads, width // heads))
    return call.one("permute.default", self=cut, dims=(0, 2, 1, 3))


def _sizes(value: Tensor) -> tuple[Size, ...]:
    return extents_as_seen(value).items


def _number(size: Size) -> int:
    if not isinstance(size, int):
        raise UnsupportedCase("the batch size in a later dimension")
    return size
