"""What calls of the ONNX operators mean, in calls of the operator table.

Sources: the operator specification of ONNX (onnx.ai/onnx/operators), opset 13 and later.
"""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.formats.onnx_import.call import Rule
from smidgen.formats.onnx_import.rules import (
    attention,
    elementwise,
    extents,
    layers,
    masks,
    movement,
    quantization,
    reductions,
    resampling,
    sample_places,
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
    "Add": first_of(
        extents.add, masks.add, sample_places.add, on_tensors=elementwise.binary("add.Tensor")
    ),
    "And": elementwise.binary("logical_and.default"),
    "ArgMax": reductions.argmax,
    "Attention": attention.attention,
    "AveragePool": windows.average_pool,
    "BatchNormalization": layers.batch_normalization,
    "Cast": first_of(extents.cast, on_tensors=elementwise.cast),
    "CastLike": elementwise.cast_like,
    "Ceil": elementwise.ceil,
    "Clip": elementwise.clip,
    "Concat": first_of(extents.concat, on_tensors=movement.concat),
    "Constant": elementwise.constant,
    "ConstantOfShape": movement.constant_of_shape,
    "Conv": layers.conv,
    "ConvInteger": quantization.refused,
    "ConvTranspose": layers.conv_transpose,
    "CumSum": reductions.running_sum,
    "DepthToSpace": movement.depth_to_space,
    "DequantizeLinear": quantization.dequantize,
    "Div": first_of(extents.div, on_tensors=elementwise.divide),
    "Dropout": elementwise.dropout,
    "DynamicQuantizeLinear": quantization.refused,
    "Einsum": layers.einsum,
    "Elu": elementwise.elu,
    "Equal": first_of(extents.equal, on_tensors=elementwise.binary("eq.Tensor")),
    "Expand": movement.expand,
    "Flatten": movement.flatten,
    "Gather": first_of(extents.gather, sample_places.gather, on_tensors=movement.gather),
    "GatherElements": movement.gather_elements,
    "Gelu": elementwise.gelu,
    "Gemm": layers.gemm,
    "GlobalAveragePool": windows.global_average_pool,
    "GlobalMaxPool": windows.global_max_pool,
    "GroupNormalization": layers.group_normalization,
    "HardSigmoid": elementwise.hard_sigmoid,
    "Identity": movement.identity,
    "InstanceNormalization": layers.instance_normalization,
    "IsNaN": first_of(masks.is_nan, on_tensors=elementwise.is_nan),
    "LayerNormalization": layers.layer_normalization,
    "LeakyRelu": elementwise.leaky_relu,
    "LogSoftmax": reductions.softmax("log_softmax.int"),
    "MatMul": layers.matmul,
    "MatMulInteger": quantization.refused,
    "Max": elementwise.extreme("maximum.default", "min"),
    "MaxPool": windows.max_pool,
    "Min": elementwise.extreme("minimum.default", "max"),
    "Mod": extents.mod,
    "Mul": first_of(
        extents.mul, sample_places.multiply, on_tensors=elementwise.binary("mul.Tensor")
    ),
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
    "Reshape": first_of(extents.reshape, on_tensors=movement.reshape),
    "Resize": resampling.resize,
    "Selu": elementwise.selu,
    "Shape": extents.shape,
    "Size": extents.size,
    "Slice": first_of(extents.slice_, on_tensors=movement.slice_),
    "Softmax": first_of(masks.softmax, on_tensors=reductions.softmax("softmax.int")),
    "Softsign": elementwise.softsign,
    "SpaceToDepth": movement.space_to_depth,
    "Split": movement.split,
    "Squeeze": first_of(extents.squeeze, on_tensors=movement.squeeze),
    "Sub": first_of(extents.sub, on_tensors=elementwise.binary("sub.Tensor")),
    "Sum": elementwise.total,
    "Swish": elementwise.swish,
    "Tile": movement.tile,
    "Transpose": movement.transpose,
    "Trilu": movement.triangle,
    "Unsqueeze": first_of(extents.unsqueeze, on_tensors=movement.unsqueeze),
    "Where": first_of(extents.where, masks.where, on_tensors=elementwise.where),
}
"""The rule of each operator by its name."""
