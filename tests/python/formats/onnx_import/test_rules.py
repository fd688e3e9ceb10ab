from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import NodeProto, TensorProto, helper

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.onnx_import.rules import RULES, quantization
from tests.python.formats.onnx_import.models import (
    Array,
    model,
    node,
    read_model,
    rng_array,
    run_graph,
    run_onnxruntime,
)


@dataclass(frozen=True)
class Case:
    """A model of one operator, or of the few in which exporters write one."""

    nodes: Sequence[NodeProto]
    inputs: Mapping[str, Array]
    constants: Mapping[str, Array] = field(default_factory=dict)
    opset: int = 17
    output_type: int = TensorProto.FLOAT


IMAGE = {"x": rng_array((2, 4, 9, 8))}
EVEN = {"x": rng_array((2, 8, 8, 6))}
MATRIX = {"x": rng_array((3, 6))}
TOKENS = {"x": rng_array((2, 5, 6))}
PAIR = {"x": rng_array((2, 4, 6, 6)), "z": rng_array((2, 4, 6, 6), 1)}


def one(
    operator: str,
    inputs: Mapping[str, Array],
    constants: Mapping[str, Array] | None = None,
    *,
    opset: int = 17,
    output_type: int = TensorProto.FLOAT,
    names: Sequence[str] | None = None,
    **attributes: Any,
) -> Case:
    read = names or [*inputs, *(constants or {})]
    made = node(operator, read, ["y"], **attributes)
    return Case([made], inputs, constants or {}, opset, output_type)


def ints(*numbers: int) -> Array:
    return np.array(numbers, np.int64)


def unary(operator: str, *, positive: bool = False, **attributes: Any) -> Case:
    x = np.abs(IMAGE["x"]) + 0.1 if positive else IMAGE["x"]
    opset = {"Gelu": 20, "Mish": 18}.get(operator, 17)
    return one(operator, {"x": x}, opset=opset, **attributes)


def reduction(operator: str, opset: int = 17, **attributes: Any) -> Case:
    if opset >= 18 or operator == "ReduceSum":
        return one(operator, IMAGE, {"a": ints(2, 3)}, opset=opset, **attributes)
    return one(operator, IMAGE, axes=[2, 3], **attributes)


CONV_WEIGHT = {"w": rng_array((6, 4, 3, 3), 2)}
CONV = {**CONV_WEIGHT, "b": rng_array((6,), 3)}
NORM = {
    "s": rng_array((4,), 4), "b": rng_array((4,), 5),
    "m": rng_array((4,), 6), "v": np.abs(rng_array((4,), 7)) + 0.5,
}  # fmt: skip
SCALE_AND_BIAS = {"s": rng_array((4,), 8), "b": rng_array((4,), 9)}

CASES: dict[str, Case] = {
    **{name.lower(): unary(name) for name in (
        "Abs", "Ceil", "Cos", "Elu", "Erf", "Exp", "Floor", "HardSwish", "LeakyRelu", "Mish",
        "Neg", "Relu", "Round", "Selu", "Sigmoid", "Sin", "Softplus", "Softsign", "Tanh", "Gelu",
    )},
    "log": unary("Log", positive=True),
    "sqrt": unary("Sqrt", positive=True),
    "reciprocal": unary("Reciprocal", positive=True),
    "elu of another alpha": unary("Elu", alpha=0.5),
    "gelu by tanh": unary("Gelu", approximate="tanh"),
    "hardsigmoid": unary("HardSigmoid"),
    "hardsigmoid of torch": unary("HardSigmoid", alpha=1 / 6, beta=0.5),
    "conv": one("Conv", IMAGE, CONV),
    "conv without bias": one("Conv", IMAGE, CONV_WEIGHT),
    "conv with strides, pads and dilations": one(
        "Conv", IMAGE, CONV, strides=[2, 1], pads=[2, 1, 2, 1], dilations=[2, 1]),
    "conv padded behind": one("Conv", IMAGE, CONV, pads=[0, 0, 1, 1], strides=[2, 2]),
    "conv same upper": one("Conv", IMAGE, CONV, auto_pad="SAME_UPPER", strides=[2, 2]),
    "conv same lower": one("Conv", IMAGE, CONV, auto_pad="SAME_LOWER", strides=[2, 2]),
    "conv valid": one("Conv", IMAGE, CONV, auto_pad="VALID"),
    "conv in groups": one("Conv", IMAGE, {"w": rng_array((6, 2, 3, 3))}, group=2),
    "conv of a constant node": Case(
        [node("Constant", [], ["w"], value=helper.make_tensor(
            "w", TensorProto.FLOAT, (2, 4, 1, 1), np.arange(8.0, dtype=np.float32))),
         node("Conv", ["x", "w"], ["y"])], IMAGE),
    "conv of signals": one(
        "Conv", TOKENS, {"w": rng_array((4, 5, 3)), "b": rng_array((4,))}, strides=[2],
        pads=[1, 1], dilations=[1], kernel_shape=[3]),
    "conv of signals padded behind": one(
        "Conv", {"x": rng_array((2, 4, 9))}, {"w": rng_array((6, 2, 2))}, pads=[0, 1],
        dilations=[2], group=2),
    "convtranspose": one("ConvTranspose", IMAGE, {"w": rng_array((4, 5, 3, 3))}, strides=[2, 2]),
    "convtranspose with pads": one(
        "ConvTranspose", IMAGE, {"w": rng_array((4, 5, 3, 3)), "b": rng_array((5,))},
        strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
    "convtranspose padded unequally": one(
        "ConvTranspose", IMAGE, {"w": rng_array((4, 2, 3, 3))}, strides=[2, 2], pads=[1, 1, 0, 0],
        group=1),
    "gemm": one("Gemm", MATRIX, {"w": rng_array((6, 4))}),
    "gemm with transB and bias": one(
        "Gemm", MATRIX, {"w": rng_array((4, 6)), "b": rng_array((4,))}, transB=1),
    "gemm with alpha and beta": one(
        "Gemm", MATRIX, {"w": rng_array((4, 6)), "b": rng_array((1, 4))}, transB=1, alpha=0.5,
        beta=2.0),
    "gemm with one number": one(
        "Gemm", MATRIX, {"w": rng_array((6, 4)), "b": np.float32(0.25).reshape(())}),
    "gemm that leaves its third operand out": one(
        "Gemm", MATRIX, {"w": rng_array((6, 4)), "b": rng_array((1, 4))}, beta=0.0),
    "gemm with an addend for each place": Case(
        [node("Gemm", ["x", "w", "z"], ["y"], alpha=2.0, beta=-0.5)],
        {"x": MATRIX["x"], "z": rng_array((3, 4), 1)}, {"w": rng_array((6, 4), 2)}),
    "matmul": one("MatMul", TOKENS, {"w": rng_array((6, 4))}),
    "matmul of two values": one(
        "MatMul", {"x": rng_array((2, 3, 4, 5)), "z": rng_array((2, 3, 5, 6))}),
    "batchnormalization": one("BatchNormalization", IMAGE, NORM, epsilon=1e-3),
    "instancenormalization": one("InstanceNormalization", IMAGE, SCALE_AND_BIAS),
    "groupnormalization": one(
        "GroupNormalization", EVEN, {"s": rng_array((8,)), "b": rng_array((8,), 1)}, num_groups=4,
        opset=21),
    "groupnormalization with weights per group": one(
        "GroupNormalization", EVEN, {"s": rng_array((4,)), "b": rng_array((4,), 1)}, num_groups=4,
        opset=18),
    "layernormalization": one(
        "LayerNormalization", TOKENS, {"s": rng_array((6,)), "b": rng_array((6,), 1)}),
    "layernormalization without bias": one(
        "LayerNormalization", TOKENS, {"s": rng_array((6,))}, epsilon=1e-3),
    "prelu": one("PRelu", IMAGE, {"s": rng_array((4, 1, 1))}),
    "prelu with one slope": one("PRelu", IMAGE, {"s": rng_array((1,))}),
    "add": one("Add", PAIR),
    "add of a constant": one("Add", IMAGE, {"c": rng_array((4, 1, 1))}),
    "add to a constant": one("Add", IMAGE, {"c": rng_array((4, 1, 1))}, names=["c", "x"]),
    "sub": one("Sub", PAIR),
    "sub from a constant": one("Sub", IMAGE, {"c": np.float32(1).reshape(())}, names=["c", "x"]),
    "mul": one("Mul", PAIR),
    "div": one("Div", {"x": PAIR["x"], "z": np.abs(PAIR["z"]) + 1}),
    "pow": one("Pow", IMAGE, {"e": np.float32(2).reshape(())}),
    "pow of a half": one(
        "Pow", {"x": np.abs(IMAGE["x"])}, {"e": np.float32(0.5).reshape(())}),
    "min": one("Min", PAIR),
    "max": one("Max", PAIR),
    "max with a number": one("Max", IMAGE, {"c": np.float32(0.1).reshape(())}),
    "min with a number in front": one(
        "Min", IMAGE, {"c": np.float32(0.1).reshape(())}, names=["c", "x"]),
    "einsum": one("Einsum", IMAGE, {"w": rng_array((4, 3), 1)}, equation="bchw,cd->bdhw"),
    "einsum of computed values": one("Einsum", PAIR, equation="bchw, bcgw -> bhg"),
    "sum of one": one("Sum", IMAGE),
    "sum of three": one("Sum", {**PAIR, "u": rng_array((2, 4, 6, 6), 2)}),
    "max of three": one("Max", {**PAIR, "u": rng_array((2, 4, 6, 6), 2)}),
    "clip": one("Clip", IMAGE, {"a": np.float32(-0.5), "b": np.float32(0.5)}),
    "clip below": one("Clip", IMAGE, {"a": np.float32(0.0)}),
    "clip above": one("Clip", IMAGE, {"b": np.float32(0.5)}, names=["x", "", "b"]),
    "clip not at all": one("Clip", IMAGE, names=["x"]),
    "where": Case(
        [node("Greater", ["x", "z"], ["c"]), node("Where", ["c", "x", "z"], ["y"])], PAIR),
    "where not less or equal": Case(
        [node("LessOrEqual", ["x", "z"], ["c"]), node("Not", ["c"], ["n"]),
         node("Where", ["n", "x", "z"], ["y"])], PAIR),
    "and, or": Case(
        [node("Less", ["x", "z"], ["a"]), node("GreaterOrEqual", ["x", "k"], ["b"]),
         node("And", ["a", "b"], ["c"]), node("Equal", ["x", "z"], ["d"]),
         node("Or", ["c", "d"], ["e"]), node("Where", ["e", "x", "k"], ["y"])],
        PAIR, {"k": np.float32(0).reshape(())}),
    "cast": Case(
        [node("Greater", ["x", "z"], ["c"]), node("Cast", ["c"], ["y"], to=TensorProto.FLOAT)],
        PAIR),
    "castlike": Case(
        [node("Greater", ["x", "z"], ["c"]), node("CastLike", ["c", "x"], ["y"])], PAIR),
    "maxpool": one("MaxPool", IMAGE, kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 1, 0]),
    "maxpool with ceil_mode": one(
        "MaxPool", IMAGE, kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1),
    "maxpool padded behind": one(
        "MaxPool", {"x": rng_array((2, 4, 8, 8))}, kernel_shape=[3, 3], strides=[2, 2],
        pads=[0, 0, 1, 1]),
    "maxpool same": one(
        "MaxPool", {"x": rng_array((2, 4, 8, 8))}, kernel_shape=[3, 3], strides=[2, 2],
        auto_pad="SAME_UPPER"),
    "averagepool": one("AveragePool", IMAGE, kernel_shape=[3, 2], strides=[2, 1],
                       pads=[1, 0, 1, 0]),
    "averagepool with padding": one(
        "AveragePool", IMAGE, kernel_shape=[3, 2], pads=[1, 1, 1, 1], count_include_pad=1),
    "averagepool padded behind": one(
        "AveragePool", {"x": rng_array((2, 4, 8, 8))}, kernel_shape=[3, 3], strides=[2, 2],
        pads=[0, 0, 1, 1]),
    "averagepool padded behind with padding": one(
        "AveragePool", IMAGE, kernel_shape=[2, 2], pads=[0, 0, 1, 1], count_include_pad=1),
    "averagepool over the depth": one(
        "AveragePool", {"x": rng_array((2, 3, 7, 4, 5))}, kernel_shape=[3, 1, 1],
        strides=[2, 1, 1]),
    "averagepool over the depth with all said": one(
        "AveragePool", {"x": rng_array((2, 3, 7, 4, 5))}, kernel_shape=[3, 1, 1], pads=[0] * 6,
        dilations=[1, 1, 1], ceil_mode=0, opset=19),
    "globalaveragepool": one("GlobalAveragePool", IMAGE),
    "globalaveragepool of tokens": one("GlobalAveragePool", TOKENS),
    "globalmaxpool": one("GlobalMaxPool", IMAGE),
    **{name.lower(): reduction(name) for name in (
        "ReduceL2", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum", "ReduceSumSquare")},
    "reducemean of axes given as an operand": reduction("ReduceMean", 18, keepdims=0),
    "reducemean of no axes": one(
        "ReduceMean", IMAGE, {"a": ints()}, opset=18, noop_with_empty_axes=1),
    "argmax": one("ArgMax", IMAGE, axis=1, keepdims=0, output_type=TensorProto.INT64),
    "softmax": one("Softmax", IMAGE, axis=1),
    "logsoftmax": one("LogSoftmax", TOKENS),
    "flatten": one("Flatten", IMAGE),
    "reshape": one("Reshape", IMAGE, {"s": ints(0, 4, -1)}),
    "reshape to the batch": one("Reshape", IMAGE, {"s": ints(-1, 288)}),
    "transpose": one("Transpose", IMAGE, perm=[0, 2, 3, 1]),
    "unsqueeze, squeeze": Case(
        [node("Unsqueeze", ["x", "a"], ["u"]), node("Squeeze", ["u", "a"], ["v"]),
         node("Unsqueeze", ["v", "b"], ["y"])], TOKENS, {"a": ints(1, -1), "b": ints(2)}),
    "concat": one("Concat", PAIR, axis=1),
    "concat of constants": Case(
        [node("Concat", ["a", "b"], ["c"], axis=-1), node("Add", ["x", "c"], ["y"])],
        MATRIX, {"a": rng_array((1, 2)), "b": rng_array((1, 4), 1)}),
    "gather from a constant": Case(
        [node("Gather", ["w", "i"], ["g"], axis=1), node("Add", ["x", "g"], ["y"])],
        MATRIX, {"w": rng_array((1, 3)), "i": ints(-1, 0, 2, 1, 1, -3)}),
    "tile of a constant": Case(
        [node("Tile", ["w", "r"], ["t"]), node("Add", ["x", "t"], ["y"])],
        MATRIX, {"w": rng_array((1, 3)), "r": ints(1, 2)}),
    "attention of heads": one(
        "Attention", {name: rng_array((2, 3, 5, 4), seed) for seed, name in enumerate("xkv")},
        opset=23, scale=0.3),
    "causal attention": one(
        "Attention", {name: rng_array((2, 3, 5, 4), seed) for seed, name in enumerate("xkv")},
        opset=23, is_causal=1),
    "attention of features": one(
        "Attention", {name: rng_array((2, 5, 12), seed) for seed, name in enumerate("xkv")},
        {"m": rng_array((1, 1, 5, 5))}, opset=23, q_num_heads=3, kv_num_heads=3),
    "attention with a mask": one(
        "Attention", {"x": rng_array((2, 5, 12)), "k": rng_array((2, 6, 12), 1),
                      "v": rng_array((2, 6, 9), 2)},
        {"m": np.arange(30).reshape(5, 6) % 7 < 4}, opset=23, q_num_heads=3, kv_num_heads=3),
    "upper triangle": Case(
        [node("Trilu", ["w"], ["t"]), node("Trilu", ["w", "k"], ["l"], upper=0),
         node("Add", ["x", "t"], ["a"]), node("Add", ["a", "l"], ["y"])],
        {"x": rng_array((2, 3, 4))}, {"w": rng_array((3, 4)), "k": np.array(1)}),
    "tile of several": one("Tile", TOKENS, {"r": ints(1, 2, 3)}),
    "range of numbers": Case(
        [node("Range", ["a", "b", "c"], ["r"]), node("Cast", ["r"], ["f"], to=TensorProto.FLOAT),
         node("Mul", ["x", "f"], ["y"])],
        MATRIX, {"a": np.array(7), "b": np.array(-5), "c": np.array(-2)}),
    "range of floats": Case(
        [node("Range", ["a", "b", "c"], ["r"]), node("Mul", ["x", "r"], ["y"])],
        MATRIX, {name: np.array(number, np.float32)
                 for name, number in (("a", 0.7), ("b", -1.0), ("c", -0.3))}),
    "range of floats up to an extent": Case(
        [node("Shape", ["x"], ["s"], start=1, end=2), node("Squeeze", ["s"], ["n"]),
         node("Cast", ["n"], ["f"], to=TensorProto.FLOAT), node("Range", ["a", "f", "c"], ["r"]),
         node("Mul", ["x", "r"], ["y"])],
        MATRIX, {"a": np.array(0, np.float32), "c": np.array(1, np.float32)}),
    "quotients of sizes round to zero": Case(
        [node("Shape", ["x"], ["s"], start=1, end=2), node("Sub", ["s", "nine"], ["less"]),
         node("Div", ["less", "two"], ["half"]),
         node("Cast", ["half"], ["f"], to=TensorProto.FLOAT),
         node("Mul", ["x", "f"], ["y"])],
        MATRIX, {"nine": ints(9), "two": ints(2)}),
    "split": Case(
        [node("Split", ["x", "s"], ["a", "b"], axis=1), node("Concat", ["b", "a"], ["y"], axis=1)],
        IMAGE, {"s": ints(1, 3)}),
    "split in halves": Case(
        [node("Split", ["x"], ["a", "b"], axis=1), node("Sub", ["b", "a"], ["y"])], IMAGE),
    "split in num_outputs": Case(
        [node("Split", ["x"], ["a", "b"], axis=2, num_outputs=2),
         node("Concat", ["b", "a"], ["y"], axis=2)], IMAGE, opset=18),
    "slice": one("Slice", IMAGE, {"s": ints(1, 0), "e": ints(4, -1), "a": ints(2, 3)}),
    "slice with steps": one(
        "Slice", IMAGE, {"s": ints(1), "e": ints(1 << 62), "a": ints(3), "t": ints(2)}),
    "slice of a constant backwards": Case(
        [node("Slice", ["c", "s", "e", "a", "t"], ["r"]), node("Add", ["x", "r"], ["y"])],
        {"x": rng_array((3, 4))},
        {"c": rng_array((2, 6)), "s": ints(-1, 9), "e": ints(-(1 << 63), -5), "a": ints(0, 1),
         "t": ints(-2, -1)}),
    "slice of a constant backwards from before it": Case(
        [node("Slice", ["c", "s", "e", "a", "t"], ["r"]), node("Add", ["x", "r"], ["y"])],
        MATRIX, {"c": rng_array((6,)), "s": ints(-9), "e": ints(-9), "a": ints(0), "t": ints(-1)}),
    "gather of one": one("Gather", IMAGE, {"i": np.array(-1)}, axis=2),
    "gather of several": one("Gather", IMAGE, {"i": ints(3, 0, 1, 1)}, axis=1),
    "gather of rows": Case(
        [node("Gather", ["w", "x"], ["y"])], {"x": np.array([[0, 2], [1, 1]])},
        {"w": rng_array((3, 5))}),
    "gatherelements of a constant": Case(
        [node("GatherElements", ["w", "i"], ["g"], axis=1), node("Add", ["x", "g"], ["y"])],
        MATRIX, {"w": rng_array((1, 9)), "i": np.array([[8, 0, 3, 3, 1, 2]])}),
    "isnan": Case(
        [node("Sqrt", ["x"], ["r"]), node("IsNaN", ["r"], ["n"]),
         node("Where", ["n", "zero", "r"], ["y"])], IMAGE, {"zero": np.float32(0)}),
    "shape of a shape": Case(
        [node("Shape", ["z"], ["s"]), node("Shape", ["s"], ["rank"]),
         node("ConstantOfShape", ["rank"], ["ones"], value=helper.make_tensor(
             "v", TensorProto.INT64, (1,), [1])),
         node("Equal", ["s", "one"], ["c"]), node("Where", ["c", "ones", "s"], ["t"]),
         node("Expand", ["x", "t"], ["y"])],
        {"x": rng_array((2, 4, 1, 1)), "z": rng_array((2, 4, 3, 5))}, {"one": ints(1)}),
    "constantofshape of the batch": Case(
        [node("Shape", ["x"], ["s"]),
         node("ConstantOfShape", ["s"], ["c"], value=helper.make_tensor(
             "v", TensorProto.FLOAT, (1,), [0.5])),
         node("Concat", ["c", "x"], ["y"], axis=1)], MATRIX),
    "cumsum": one("CumSum", MATRIX, {"a": np.array(1)}),
    "cumsum from behind": one("CumSum", TOKENS, {"a": np.array(-1)}, reverse=0),
    "mod of extents": Case(
        [node("Shape", ["x"], ["s"], start=1), node("Mod", ["s", "four"], ["m"]),
         node("Add", ["m", "two"], ["t"]), node("Concat", ["minus", "t"], ["u"], axis=0),
         node("Reshape", ["x", "u"], ["y"])],
        MATRIX, {"four": ints(4), "two": ints(4), "minus": ints(-1)}),
    "expand": one("Expand", {"x": rng_array((2, 1, 3))}, {"s": ints(1, 4, 1)}),
    "tile": one("Tile", {"x": rng_array((2, 1, 3))}, {"r": ints(1, 4, 2)}),
    "pad": one("Pad", IMAGE, {"p": ints(0, 1, 0, 2, 0, 0, 1, 0), "v": np.float32(0.5)}),
    "pad of some axes": one(
        "Pad", IMAGE, {"p": ints(1, 2), "a": ints(3)}, names=["x", "p", "", "a"], opset=18),
    "pad by reflection": one("Pad", IMAGE, {"p": ints(0, 1, 2, 3, 0, 0, 1, 2)}, mode="reflect"),
    "pad by the edge": one("Pad", IMAGE, {"p": ints(0, 0, 2, 0, 0, 1, 9, 2)}, mode="edge"),
    "pad around": one("Pad", IMAGE, {"p": ints(0, 0, 2, 1, 0, 0, 1, 2)}, mode="wrap", opset=19),
    "depthtospace": one("DepthToSpace", EVEN, blocksize=2),
    "depthtospace by columns": one("DepthToSpace", EVEN, blocksize=2, mode="CRD"),
    "spacetodepth": one("SpaceToDepth", EVEN, blocksize=2),
    "resize to the nearest": one(
        "Resize", IMAGE, {"s": np.array([1, 1, 2, 2], np.float32)}, names=["x", "", "s"],
        coordinate_transformation_mode="asymmetric", nearest_mode="floor"),
    "resize to the nearest exactly": one(
        "Resize", IMAGE, {"s": ints(2, 4, 13, 12)}, names=["x", "", "", "s"],
        nearest_mode="round_prefer_ceil"),
    "resize to the same size": one(
        "Resize", IMAGE, {"s": ints(2, 4, 9, 8)}, names=["x", "", "", "s"], mode="cubic",
        cubic_coeff_a=-0.75),
    "resize to the same size between corners": one(
        "Resize", IMAGE, {"s": ints(2, 4, 9, 8)}, names=["x", "", "", "s"], mode="cubic",
        coordinate_transformation_mode="align_corners"),
    "resize linearly": one(
        "Resize", IMAGE, {"s": np.array([1, 1, 2, 3], np.float32)}, names=["x", "", "s"],
        mode="linear"),
    "resize linearly as torch does": one(
        "Resize", IMAGE, {"s": ints(2, 4, 13, 12)}, names=["x", "", "", "s"], mode="linear",
        coordinate_transformation_mode="pytorch_half_pixel"),
    "resize linearly between corners": one(
        "Resize", IMAGE, {"s": ints(2, 4, 13, 12)}, names=["x", "", "", "s"], mode="linear",
        coordinate_transformation_mode="align_corners"),
    "dequantizelinear of a weight": Case(
        [node("DequantizeLinear", ["q", "s", "z"], ["w"], axis=0), node("Gemm", ["x", "w"], ["y"],
                                                                      transB=1)],
        MATRIX, {"q": np.arange(-12, 12, dtype=np.int8).reshape(4, 6), "s": np.abs(rng_array((4,))),
                 "z": np.array([0, 1, -2, 3], np.int8)}),
    "dropout": one("Dropout", IMAGE),
    "identity": Case([node("Identity", ["x"], ["a"]), node("Neg", ["a"], ["y"])], IMAGE),
    "shape, gather, concat": Case(
        [node("Shape", ["x"], ["s"]), node("Gather", ["s", "zero"], ["n"]),
         node("Unsqueeze", ["n", "axes"], ["b"]),
         node("Concat", ["b", "rest"], ["t"], axis=0), node("Reshape", ["x", "t"], ["y"])],
        IMAGE, {"zero": np.array(0), "axes": ints(0), "rest": ints(4, 72)}),
    "shape, slice, arithmetic": Case(
        [node("Shape", ["x"], ["s"]), node("Slice", ["s", "one", "three"], ["c"]),
         node("Slice", ["s", "three", "four"], ["w"]),
         node("Mul", ["w", "two"], ["w2"]), node("Div", ["w2", "two"], ["w3"]),
         node("Sub", ["w3", "two"], ["w4"]), node("Add", ["w4", "two"], ["w5"]),
         node("Cast", ["w5"], ["w6"], to=TensorProto.INT64),
         node("Concat", ["minus", "c", "w6"], ["t"], axis=0), node("Reshape", ["x", "t"], ["y"])],
        IMAGE,
        {"one": ints(1), "two": ints(2), "three": ints(3), "four": ints(4), "minus": ints(-1)}),
    "shape, constantofshape, where, equal": Case(
        [node("Shape", ["z"], ["s"]),
         node("ConstantOfShape", ["four"], ["ones"], value=helper.make_tensor(
             "v", TensorProto.INT64, (1,), [1])),
         node("Equal", ["s", "one"], ["c"]), node("Where", ["c", "ones", "s"], ["t"]),
         node("Expand", ["x", "t"], ["y"])],
        {"x": rng_array((2, 4, 1, 1)), "z": rng_array((2, 4, 3, 5))},
        {"four": ints(4), "one": ints(1)}),
    "shape, squeeze, range": Case(
        [node("Shape", ["x"], ["s"], start=1, end=2), node("Squeeze", ["s"], ["n"]),
         node("Range", ["zero", "n", "one"], ["r"]),
         node("Cast", ["r"], ["f"], to=TensorProto.FLOAT), node("Unsqueeze", ["f", "axes"], ["u"]),
         node("Mul", ["x", "u"], ["y"])],
        TOKENS, {"zero": np.array(0), "one": np.array(1), "axes": ints(1)}),
    "shape, reduceprod": Case(
        [node("Shape", ["x"], ["s"], start=1), node("ReduceProd", ["s"], ["n"]),
         node("Reshape", ["n", "minus"], ["m"]),
         node("Concat", ["minus", "m"], ["t"], axis=0), node("Reshape", ["x", "t"], ["y"])],
        IMAGE, {"minus": ints(-1)}),
    "size": Case(
        [node("Size", ["w"], ["n"]), node("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
         node("Div", ["x", "f"], ["y"])], IMAGE, {"w": rng_array((3, 5))}),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_a_graph_gives_what_onnxruntime_gives(case: Case, tmp_path: Path) -> None:
    made = model(
        case.nodes, case.inputs, case.constants, opset=case.opset, output_type=case.output_type
    )
    (expected,) = run_onnxruntime(made, case.inputs)

    exported = read_model(made, tmp_path)
    (found,) = run_graph(exported, list(case.inputs.values()))

    assert exported.outputs[0].shape == (None, *expected.shape[1:])
    assert found.dtype == expected.dtype
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("alpha", [1.0, 2.0])
def test_swish_is_x_times_the_sigmoid_of_alpha_x(alpha: float, tmp_path: Path) -> None:
    # ONNX Runtime has no kernel of opset 24, the first with Swish.
    case = one("Swish", IMAGE, opset=24, alpha=alpha)
    exported = read_model(model(case.nodes, case.inputs, opset=24), tmp_path)

    (found,) = run_graph(exported, [IMAGE["x"]])

    expected = IMAGE["x"] / (1 + np.exp(-alpha * IMAGE["x"]))
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


def test_every_rule_has_a_case() -> None:
    tested = {item.op_type for case in CASES.values() for item in case.nodes} | {"Swish"}
    quantized = {name for name, rule in RULES.items() if rule is quantization.refused}

    assert set(RULES) - tested == quantized


def refusal(
    nodes: Sequence[NodeProto], constants: Mapping[str, Array], folder: Path, **options: Any
) -> InvalidModelError | UnsupportedOperatorError:
    inputs = options.pop("inputs", IMAGE)
    with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as caught:
        read_model(model(nodes, inputs, constants, **options), folder)
    assert isinstance(caught.value, InvalidModelError | UnsupportedOperatorError)
    return caught.value


UNSUPPORTED: dict[str, tuple[str, Case]] = {
    "Conv (a convolution of 3 dimensions)": (
        "conv3d", one("Conv", {"x": rng_array((2, 3, 4, 4, 4))}, {"w": rng_array((2, 3, 2, 2, 2))},
                      strides=[1, 1, 1])),
    "Conv (padding of signals by their length)": (
        "conv1d", one("Conv", TOKENS, {"w": rng_array((3, 5, 2))}, auto_pad="SAME_UPPER")),
    "CumSum (a running sum without the element itself": (
        "cumsum", one("CumSum", MATRIX, {"a": np.array(1)}, exclusive=1)),
    "Mod (a remainder of elements that are not a shape)": ("mod", one("Mod", PAIR, fmod=0)),
    "Mod (a remainder with the sign of what is divided)": ("fmod", one("Mod", PAIR, fmod=1)),
    "Pad (the padding mirror)": (
        "pad", one("Pad", IMAGE, {"p": ints(0, 0, 1, 1, 0, 0, 1, 1)}, mode="mirror")),
    "Pad (a padding that cuts off)": (
        "crop", one("Pad", IMAGE, {"p": ints(0, 0, -1, 0, 0, 0, 0, 0)}, mode="edge")),
    "Resize (the mode cubic of half_pixel)": (
        "cubic", one("Resize", IMAGE, {"s": np.array([1, 1, 2, 2], np.float32)},
                     names=["x", "", "s"], mode="cubic")),
    "Resize (the mode cubic of tf_crop_and_resize)": (
        "crop", one("Resize", IMAGE, {"s": ints(2, 4, 9, 8)}, names=["x", "", "", "s"],
                    mode="cubic", coordinate_transformation_mode="tf_crop_and_resize")),
    "Gather (single samples of the dynamic batch)": (
        "samples", one("Gather", IMAGE, {"i": np.array(0)}, axis=0)),
    "BatchNormalization (a training mode)": (
        "training", one("BatchNormalization", IMAGE, NORM, training_mode=1)),
    "Slice (a slice from the end to the beginning)": (
        "backwards", one("Slice", IMAGE, {"s": ints(-1), "e": ints(0), "a": ints(2),
                                          "t": ints(-1)})),
    "ConvTranspose (a convolution of 1 dimensions)": (
        "convtranspose1d", one("ConvTranspose", TOKENS, {"w": rng_array((5, 3, 2))})),
    "ConvTranspose (a transposed convolution by its output shape)": (
        "output shape", one("ConvTranspose", IMAGE, {"w": rng_array((4, 2, 3, 3))},
                            output_shape=[18, 16])),
    "Tile (4097 repetitions of an axis)": ("tile", one("Tile", TOKENS, {"r": ints(1, 1, 4097)})),
    "Gather (indices of 2 axes)": (
        "gather", one("Gather", IMAGE, {"i": np.array([[0, 1]])}, axis=1)),
    "Gather (computed indices into other than the rows of a constant)": (
        "computed", one("Gather", {"x": np.array([[0, 2], [1, 1]])}, {"w": rng_array((3, 5))},
                        names=["w", "x"], axis=1)),
    "Range (a range from 0 to 9223372036854775807)": (
        "range", Case([node("Range", ["a", "b", "c"], ["r"]), node("Add", ["x", "r"], ["y"])],
                      IMAGE, {"a": np.array(0), "b": np.array(2**63 - 1), "c": np.array(1)})),
    "Range (a range up to the batch size that does not begin at 0)": (
        "range of samples", Case(
            [node("Shape", ["x"], ["s"], end=1), node("Range", ["a", "s", "a"], ["r"]),
             node("Add", ["x", "r"], ["y"])], IMAGE, {"a": np.array(1)})),
    "ReduceProd (a product of elements that are not a shape)": (
        "product", one("ReduceProd", IMAGE, axes=[2])),
    "Sub (arithmetic with the batch size)": (
        "batch", Case(
            [node("Shape", ["x"], ["s"], end=1), node("Sub", ["s", "two"], ["t"]),
             node("Concat", ["t", "minus"], ["r"], axis=0), node("Reshape", ["x", "r"], ["y"])],
            IMAGE, {"two": ints(2), "minus": ints(-1)})),
    "Where (a choice by whether the batch size is 2)": (
        "batch", Case([node("Shape", ["x"], ["s"]), node("Equal", ["s", "c"], ["e"]),
                       node("Where", ["e", "o", "s"], ["t"]), node("Reshape", ["x", "t"], ["y"])],
                      MATRIX, {"c": ints(2, 6), "o": ints(3, 6)})),
    "Cast (its use of a comparison of the batch size)": (
        "truth", Case([node("Shape", ["x"], ["s"]), node("Equal", ["s", "c"], ["e"]),
                       node("Cast", ["e"], ["f"], to=TensorProto.FLOAT),
                       node("Add", ["x", "f"], ["y"])], {"x": rng_array((3, 2))},
                      {"c": ints(2, 6)})),
    "AveragePool (padding or dilations of an average over volumes)": (
        "volumes", one("AveragePool", {"x": rng_array((2, 3, 7, 4, 5))}, kernel_shape=[3, 1, 1],
                       pads=[1, 0, 0, 1, 0, 0])),
    "AveragePool (an average over other than the depth)": (
        "depth", one("AveragePool", {"x": rng_array((2, 3, 7, 4, 5))}, kernel_shape=[3, 2, 1])),
    "Attention (heads of queries that share keys and values)": (
        "grouped", one("Attention", {"x": rng_array((2, 5, 12)), "k": rng_array((2, 5, 6)),
                                     "v": rng_array((2, 5, 6))},
                       opset=23, q_num_heads=4, kv_num_heads=2)),
    "Attention (a soft cap of the scores)": (
        "capped", one("Attention", {name: rng_array((2, 3, 5, 4)) for name in "xkv"}, opset=23,
                      softcap=2.0)),
    "Attention (a mask beside is_causal": (
        "causal", one("Attention", {name: rng_array((2, 3, 5, 4)) for name in "xkv"},
                      {"m": rng_array((5, 5))}, opset=23, is_causal=1)),
    "Attention (a mask for a part of the keys": (
        "padded mask", one("Attention", {name: rng_array((2, 3, 5, 4)) for name in "xkv"},
                           {"m": rng_array((5, 1))}, opset=24)),
    "Attention (keys and values of earlier calls)": (
        "cached", one("Attention", {name: rng_array((2, 3, 5, 4)) for name in "xkvpq"}, opset=23,
                      names=["x", "k", "v", "", "p", "q"])),
    "TopK": ("topk", Case([node("TopK", ["x", "k"], ["y", "i"])], IMAGE, {"k": ints(1)})),
}  # fmt: skip


@pytest.mark.parametrize("message", list(UNSUPPORTED))
def test_what_is_not_supported_is_named(message: str, tmp_path: Path) -> None:
    _, case = UNSUPPORTED[message]

    error = refusal(case.nodes, case.constants, tmp_path, inputs=case.inputs)

    assert error.reason == "UNSUPPORTED_OPERATOR"
    assert message in error.message


def test_padding_that_is_said_twice_is_refused_with_both(tmp_path: Path) -> None:
    nodes = [node("Conv", ["x", "w", "b"], ["y"], auto_pad="SAME_LOWER", pads=[1, 1, 1, 1])]
    error = refusal(nodes, CONV, tmp_path)
    expected = "both auto_pad 'SAME_LOWER' and pads [1, 1, 1, 1], of which ONNX allows one"
    assert expected in error.message


def test_all_that_is_not_supported_is_told_at_once(tmp_path: Path) -> None:
    nodes = [
        node("TopK", ["x", "k"], ["a", "i"], name="first"),
        node("Pad", ["a", "p"], ["b"], mode="mirror", name="second"),
        node("Pad", ["x", "p"], ["c"], mode="mirror", name="third"),
        node("Det", ["c"], ["y"], name="fourth"),
    ]

    error = refusal(nodes, {"k": ints(1), "p": ints(0, 0, 1, 1, 0, 0, 1, 1)}, tmp_path)

    assert (
        "TopK (an order that the values decide: give all values back and sort outside) at first"
        in (error.message)
    )
    assert "Det at fourth" in error.message
    assert "Pad (the padding mirror) at third" in error.message


@pytest.mark.parametrize(
    ("case", "reason"),
    [
        (one("Conv", IMAGE, {"w": rng_array((6, 3, 3, 3))}), "ONNX_SHAPE_MISMATCH"),
        (one("Gemm", MATRIX, {"w": rng_array((6,))}), "ONNX_SHAPE_MISMATCH"),
        (one("Gemm", MATRIX, {"w": rng_array((6, 2, 2))}), "ONNX_SHAPE_MISMATCH"),
        (one("Conv", IMAGE, CONV, strides=[0, 1]), "ONNX_BAD_ATTRIBUTE"),
        (one("Conv", IMAGE, CONV, pads=[1, 1]), "ONNX_BAD_ATTRIBUTE"),
        *(
            (one(operator, IMAGE, constants, auto_pad=mode, pads=[0, 0, 0, 0], **window),
             "ONNX_BAD_ATTRIBUTE")
            for operator, constants, window in (
                ("Conv", CONV, {}), ("MaxPool", {}, {"kernel_shape": [2, 2]}),
                ("AveragePool", {}, {"kernel_shape": [2, 2]}),
                ("ConvTranspose", {"w": rng_array((4, 2, 3, 3))}, {}),
            )
            for mode in ("SAME_UPPER", "VALID")
        ),
        (one("Conv", TOKENS, {"w": rng_array((3, 5, 2))}, auto_pad="VALID", pads=[0, 0]),
         "ONNX_BAD_ATTRIBUTE"),
        (one("Reshape", IMAGE, {"s": ints(0, 0, 0, 0, 0)}), "ONNX_BAD_ATTRIBUTE"),
        (one("Transpose", IMAGE, perm=[0, 1, 1, 2]), "ONNX_BAD_ATTRIBUTE"),
        (one("LeakyRelu", IMAGE, alpha=1), "ONNX_BAD_ATTRIBUTE"),
        (one("Add", {"x": IMAGE["x"], "z": TOKENS["x"]}), "ONNX_SHAPE_MISMATCH"),
        (one("Concat", IMAGE, axis=7), "ONNX_BAD_ATTRIBUTE"),
        (one("ConvTranspose", IMAGE, {"w": rng_array((4, 2, 3, 3))}, output_padding=[1]),
         "ONNX_BAD_ATTRIBUTE"),
        (one("DepthToSpace", IMAGE, blocksize=3), "ONNX_BAD_ATTRIBUTE"),
        (one("DepthToSpace", TOKENS, blocksize=2), "ONNX_BAD_ATTRIBUTE"),
        (one("SpaceToDepth", IMAGE, blocksize=2), "ONNX_BAD_ATTRIBUTE"),
        (one("Gather", IMAGE, {"i": ints(4)}, axis=1), "ONNX_BAD_ATTRIBUTE"),
        (one("Gather", IMAGE, {"i": ints(-5)}, axis=1), "ONNX_BAD_ATTRIBUTE"),
        (one("Pad", IMAGE, {"p": ints(0, 1, 1)}), "ONNX_BAD_ATTRIBUTE"),
        (one("Slice", IMAGE, {"s": ints(1, 2), "e": ints(4), "a": ints(2)}), "ONNX_BAD_ATTRIBUTE"),
        (Case([node("Concat", ["a", "b"], ["c"], axis=0), node("Add", ["x", "c"], ["y"])], IMAGE,
              {"a": rng_array((1, 2)), "b": rng_array((1, 3))}), "ONNX_BAD_ATTRIBUTE"),
        (Case([node("Concat", ["a", "b"], ["c"], axis=0), node("Add", ["x", "c"], ["y"])], IMAGE,
              {"a": rng_array((1, 2)), "b": rng_array((2,))}), "ONNX_BAD_ATTRIBUTE"),
        (Case([node("Shape", ["x"], ["s"]), node("Gather", ["s", "i"], ["n"]),
               node("Reshape", ["x", "n"], ["y"])], IMAGE, {"i": ints(4)}), "ONNX_BAD_ATTRIBUTE"),
        (Case([node("Shape", ["x"], ["s"], start=1), node("Div", ["s", "zero"], ["n"]),
               node("Reshape", ["x", "n"], ["y"])], IMAGE, {"zero": ints(0)}),
         "ONNX_BAD_ATTRIBUTE"),
        (Case([node("Shape", ["x"], ["s"]), node("Add", ["s", "two"], ["n"]),
               node("Reshape", ["x", "n"], ["y"])], IMAGE, {"two": ints(1, 2)}),
         "ONNX_BAD_ATTRIBUTE"),
        (Case([node("ConstantOfShape", ["s"], ["c"]), node("Add", ["x", "c"], ["y"])], IMAGE,
              {"s": ints(2, -1)}), "ONNX_BAD_ATTRIBUTE"),
    ],
)  # fmt: skip
def test_a_call_that_is_not_valid_is_refused(case: Case, reason: str, tmp_path: Path) -> None:
    error = refusal(case.nodes, case.constants, tmp_path, inputs=case.inputs)

    assert error.reason == reason


@pytest.mark.parametrize(
    ("nodes", "index"),
    [
        ([node("Gather", ["x", "i"], ["y"], axis=1)], ints(0, 4)),
        ([node("Gather", ["x", "i"], ["y"], axis=1)], ints(-5)),
        ([node("Gather", ["x", "i"], ["y"], axis=1)], np.array(9)),
        ([node("Shape", ["x"], ["s"]), node("Gather", ["s", "i"], ["n"]),
          node("Reshape", ["x", "n"], ["y"])], ints(7)),
    ],
)  # fmt: skip
def test_an_index_out_of_range_is_told_with_those_that_are_in_it(
    nodes: list[NodeProto], index: Array, tmp_path: Path
) -> None:
    wrong = index.reshape(-1)[-1]

    error = refusal(nodes, {"i": index}, tmp_path)

    assert f"it gathers the element {wrong} of 4, expected one from -4 to 3." in error.message
