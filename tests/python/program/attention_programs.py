"""Programs with one step of attention."""

from __future__ import annotations

from smidgen.program import Attention, DType, Program, Quantize, TensorInfo

SCALE = 1 / 32


def attention_program(
    tokens: int | None, heads: int, size: int, mask: tuple[int | None, ...] | None = None
) -> Program:
    """Returns queries, keys and values as parts of one tensor `x`, whose weighted mean is `y`."""
    features = heads * size
    tensors = [
        TensorInfo("x", DType.FLOAT32, (None, tokens, 3 * features)),
        TensorInfo("qkv", DType.UINT8, (None, tokens, 3 * features), SCALE, 120),
        TensorInfo("y", DType.UINT8, (None, tokens, features), SCALE, 130),
    ]
    if mask is not None:
        tensors.append(TensorInfo("mask", DType.FLOAT32, mask))
    attention = Attention(
        query="qkv", key="qkv", value="qkv", output="y", heads=heads, head_size=size, scale=0.5,
        mask=None if mask is None else "mask", key_offset=features, value_offset=2 * features,
    )  # fmt: skip
    inputs = ("x",) if mask is None else ("x", "mask")
    steps = (Quantize("x", "qkv"), attention)
    return Program(inputs, ("y",), {tensor.name: tensor for tensor in tensors}, steps, {})
