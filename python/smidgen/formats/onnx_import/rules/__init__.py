"""What calls of the ONNX operators mean, in calls of the operator table.

Sources: the operator specification of ONNX (onnx.ai/onnx/operators), opset 13 and later.
"""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.formats.onnx_import.call import Rule
from smidgen.formats.onnx_import.rules import (
    elementwise,
    extents,
    layers,
    movement,
    quantization,
    reductions,
    resampling,
    windows,
)
from smidgen.formats.onnx_import.rules.extents import first_of

_UNARY = {
    "Abs": "abs", "Cos": "cos", "Erf": "erf", "Exp": "exp", "Floor": "floor",
    "HardSwish": "hardswish", "Log": "log", "Mish": "mish", "Neg": "neg", "Not": "logical_not",
    "Reciprocal": "reciprocal", "Relu": "relu", "Round": "round", "Sigmoid": "sigmoid",
    "Sin": "sin", "Softplus": "softplus", "Sqrt": "sqrt", "Tanh": "tanh",
}  # fmt: skip
_COMPARISONS = {
    "Greater": "gt", "GreaterOrEqual": "ge", "Less": "lt", "LessOrEqual": "le",
}  # fmt: skip
_REDUCTIONS = {
    "ReduceL2": "linalg_vector_norm.default", "ReduceMax": "amax.default",
    "ReduceMean": "mean.dim", "ReduceMin": "amin.default", "ReduceSum": "sum.dim_IntList",
}  # fmt: skip

RULES: Mapping[str, Rule] = {
    **{name: elementwise.unary(f"{target}.default") for name, target in _UNARY.items()},
    **{name: elementwise.binary(f"{target}.Tensor") for name, target in _COMPARISONS.items()},
    **{name: reductions.reduction(target) for name, target in _REDUCTIONS.items()},
    "Add": first_of(extents.add, elementwise.binary("add.Tensor")),
    "And": elementwise.binary("logical_and.default"),
    "ArgMax": reductions.argmax,
    "AveragePool": windows.average_pool,
    "BatchNormalization": layers.batch_normalization,
    "Cast": first_of(extents.cast, elementwise.cast),
    "CastLike": elementwise.cast_like,
    "Ceil": elementwise.ceil,
    "Clip": elementwise.clip,
    "Concat": first_of(extents.concat, movement.concat),
    "Constant": elementwise.constant,
    "ConstantOfShape": movement.constant_of_shape,
    "Conv": layers.conv,
    "ConvInteger": quantization.refused,
    "ConvTranspose": layers.conv_transpose,
    "DepthToSpace": movement.depth_to_space,
    "DequantizeLinear": quantization.dequantize,
    "Div": first_of(extents.div, elementwise.divide),
    "Dropout": elementwise.dropout,
    "DynamicQuantizeLinear": quantization.refused,
    "Elu": elementwise.elu,
    "Equal": first_of(extents.equal, elementwise.binary("eq.Tensor")),
    "Expand": movement.expand,
    "Flatten": movement.flatten,
    "Gather": first_of(extents.gather, movement.gather),
    "GatherElements": movement.gather_elements,
    "Gelu": elementwise.gelu,
    "Gemm": layers.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "GroupNormalization": layers.group_normalization,
    "HardSigmoid": elementwise.hard_sigmoid,
    "Identity": movement.identity,
    "InstanceNormalization": layers.instance_normalization,
    "IsNaN": elementwise.is_nan,
    "LayerNormalization": layers.layer_normalization,
    "LeakyRelu": elementwise.leaky_relu,
    "LogSoftmax": reductions.softmax("log_softmax.int"),
    "MatMul": layers.matmul,
    "MatMulInteger": quantization.refused,
    "Max": elementwise.extreme("maximum.default", "min"),
    "MaxPool": windows.max_pool,
    "Min": elementwise.extreme("minimum.default", "max"),
    "Mul": first_of(extents.mul, elementwise.binary("mul.Tensor")),
    "Or": elementwise.binary("logical_or.default"),
    "PRelu": layers.prelu,
    "Pad": movement.pad,
    "Pow": elementwise.power,
    "QLinearConv": quantization.refused,
    "QLinearMatMul": quantization.refused,
    "QuantizeLinear": quantization.refused,
    "Range": extents.range_,
    "ReduceProd": extents.product,
    "ReduceSumSquare": reductions.sum_of_squares,
    "Reshape": first_of(extents.reshape, movement.reshape),
    "Resize": resampling.resize,
    "Selu": elementwise.selu,
    "Shape": extents.shape,
    "Size": extents.size,
    "Slice": first_of(extents.slice_, movement.slice_),
    "Softmax": reductions.softmax("softmax.int"),
    "Softsign": elementwise.softsign,
    "SpaceToDepth": movement.space_to_depth,
    "Split": movement.split,
    "Squeeze": first_of(extents.squeeze, movement.squeeze),
    "Sub": first_of(extents.sub, elementwise.binary("sub.Tensor")),
    "Swish": elementwise.swish,
    "Tile": movement.tile,
    "Transpose": movement.transpose,
    "Unsqueeze": first_of(extents.unsqueeze, movement.unsqueeze),
    "Where": first_of(extents.where, elementwise.where),
}
"""The rule of each operator by its name."""
