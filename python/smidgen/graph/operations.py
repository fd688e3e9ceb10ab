"""The operations of a network in float, one class each. Needs no torch.

Weights are named by their key in ExportedModel.weights. A shape is a tuple of extents in which None
stands for the batch size; it can only be the first extent.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar, TypeAlias

Shape: TypeAlias = "tuple[int | None, ...]"
Pair: TypeAlias = "tuple[int, int]"

FLOAT32, INT64, BOOL = "float32", "int64", "bool"
"""The element types of a graph's values."""


class OpKind(StrEnum):
    """The kinds of nodes of a graph, as in node.meta["op"]."""

    CONV2D = "conv2d"
    CONV_TRANSPOSE2D = "conv_transpose2d"
    LINEAR = "linear"
    DYNAMIC_LINEAR = "dynamic_linear"
    BATCH_NORM = "batch_norm"
    RELU = "relu"
    RELU6 = "relu6"
    CLAMP = "clamp"
    SIGMOID = "sigmoid"
    HARDSIGMOID = "hardsigmoid"
    HARDSWISH = "hardswish"
    SILU = "silu"
    GELU = "gelu"
    TANH = "tanh"
    LEAKY_RELU = "leaky_relu"
    ELU = "elu"
    ADD = "add"
    MULTIPLY = "multiply"
    MAX_POOL = "max_pool"
    AVERAGE_POOL = "average_pool"
    GLOBAL_AVERAGE_POOL = "global_average_pool"
    RESIZE = "resize"
    FLATTEN = "flatten"
    RESHAPE = "reshape"
    CONCAT = "concat"
    CONSTANT = "constant"
    EMBEDDING = "embedding"
    LAYER_NORM = "layer_norm"
    SOFTMAX = "softmax"
    SCALED_DOT_PRODUCT_ATTENTION = "scaled_dot_product_attention"
    ATTENTION = "attention"
    MATMUL = "matmul"
    SUB = "sub"
    DIV = "div"
    AND = "and"
    OR = "or"
    SQRT = "sqrt"
    NEG = "neg"
    ABS = "abs"
    EXP = "exp"
    LOG = "log"
    RSQRT = "rsqrt"
    RECIPROCAL = "reciprocal"
    ERF = "erf"
    MISH = "mish"
    SOFTPLUS = "softplus"
    SIN = "sin"
    COS = "cos"
    FLOOR = "floor"
    ROUND = "round"
    POW = "pow"
    AFFINE = "affine"
    MINIMUM = "minimum"
    MAXIMUM = "maximum"
    NOT = "not"
    COMPARE = "compare"
    WHERE = "where"
    CAST = "cast"
    REDUCE = "reduce"
    TRANSPOSE = "transpose"
    SLICE = "slice"
    EXPAND = "expand"
    PAD = "pad"
    PRELU = "prelu"
    GROUP_NORM = "group_norm"
    LOG_SOFTMAX = "log_softmax"
    DROPOUT = "dropout"
    IDENTITY = "identity"
    QUANTIZED = "quantized"
    TABULATED = "tabulated"


UNARY_KINDS = frozenset({
    OpKind.RELU, OpKind.RELU6, OpKind.CLAMP, OpKind.SIGMOID, OpKind.HARDSIGMOID, OpKind.HARDSWISH,
    OpKind.SILU, OpKind.GELU, OpKind.TANH, OpKind.LEAKY_RELU, OpKind.ELU, OpKind.SQRT,
    OpKind.NEG, OpKind.ABS, OpKind.EXP, OpKind.LOG, OpKind.RSQRT, OpKind.RECIPROCAL, OpKind.ERF,
    OpKind.MISH, OpKind.SOFTPLUS, OpKind.SIN, OpKind.COS, OpKind.FLOOR, OpKind.ROUND, OpKind.POW,
    OpKind.AFFINE,
})  # fmt: skip
"""Functions of one number, applied to every element."""

BINARY_KINDS = frozenset({
    OpKind.SUB, OpKind.DIV, OpKind.MINIMUM, OpKind.MAXIMUM, OpKind.AND, OpKind.OR,
})  # fmt: skip
"""Functions of two numbers, applied to every pair of elements, shapes broadcast."""


@dataclass(frozen=True, slots=True)
class Conv2d:
    """Convolution. Weight [O, C / groups, KH, KW], bias [O]."""

    kind: ClassVar[OpKind] = OpKind.CONV2D
    weight: str
    bias: str | None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True, slots=True)
class ConvTranspose2d:
    """Transposed convolution. Weight [C, O / groups, KH, KW], bias [O]."""

    kind: ClassVar[OpKind] = OpKind.CONV_TRANSPOSE2D
    weight: str
    bias: str | None
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    output_padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1


@dataclass(frozen=True, slots=True)
class Linear:
    """x @ weight.T + bias for x [..., I]. Weight [O, I], or [I, O] if transposed; bias [O]."""

    kind: ClassVar[OpKind] = OpKind.LINEAR
    weight: str
    bias: str | None
    is_transposed: bool = False


@dataclass(frozen=True, slots=True)
class BatchNorm:
    """Batch normalization by running statistics; weight and bias come together.

    Attributes:
        channels_last: The channels are the last axis, and not axis 1.
    """

    kind: ClassVar[OpKind] = OpKind.BATCH_NORM
    weight: str | None
    bias: str | None
    running_mean: str
    running_var: str
    momentum: float = 0.1
    eps: float = 1e-5
    channels_last: bool = False


@dataclass(frozen=True, slots=True)
class Unary:
    """A function of one number without parameters."""

    kind: OpKind


@dataclass(frozen=True, slots=True)
class Clamp:
    """min(max(x, minimum), maximum), where a bound of None does not bound."""

    kind: ClassVar[OpKind] = OpKind.CLAMP
    minimum: float | None
    maximum: float | None


@dataclass(frozen=True, slots=True)
class Gelu:
    """Gaussian error linear unit, exact or by its tanh approximation."""

    kind: ClassVar[OpKind] = OpKind.GELU
    approximate: str = "none"


@dataclass(frozen=True, slots=True)
class LeakyRelu:
    """x for x > 0, else negative_slope * x."""

    kind: ClassVar[OpKind] = OpKind.LEAKY_RELU
    negative_slope: float = 0.01


@dataclass(frozen=True, slots=True)
class Elu:
    """x for x > 0, else alpha * (exp(x) - 1)."""

    kind: ClassVar[OpKind] = OpKind.ELU
    alpha: float = 1.0


@dataclass(frozen=True, slots=True)
class Pow:
    """x to the power of a constant."""

    kind: ClassVar[OpKind] = OpKind.POW
    exponent: float


@dataclass(frozen=True, slots=True)
class Add:
    """The sum of two tensors, whose shapes are broadcast."""

    kind: ClassVar[OpKind] = OpKind.ADD


@dataclass(frozen=True, slots=True)
class Multiply:
    """The product of two tensors, whose shapes are broadcast as in numpy."""

    kind: ClassVar[OpKind] = OpKind.MULTIPLY


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The greatest element of each window."""

    kind: ClassVar[OpKind] = OpKind.MAX_POOL
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    ceil_mode: bool = False


@dataclass(frozen=True, slots=True)
class AveragePool:
    """The mean of each window."""

    kind: ClassVar[OpKind] = OpKind.AVERAGE_POOL
    kernel: Pair
    stride: Pair
    padding: Pair = (0, 0)
    ceil_mode: bool = False
    count_include_pad: bool = True


@dataclass(frozen=True, slots=True)
class GlobalAveragePool:
    """The mean of each channel: [N, C, H, W] to [N, C, 1, 1]."""

    kind: ClassVar[OpKind] = OpKind.GLOBAL_AVERAGE_POOL


@dataclass(frozen=True, slots=True)
class Resize:
    """Images of another size.

    Attributes:
        mode: nearest, nearest_exact or bilinear.
        size: Height and width of the result.
        scales: By how much the image grows, where that and not the size says which places the
            pixels have; None for the size divided by that of the image.
        align_corners: Whether the centres of the corner pixels lie on each other.
    """

    kind: ClassVar[OpKind] = OpKind.RESIZE
    mode: str
    size: Pair
    scales: tuple[float, float] | None = None
    align_corners: bool = False


@dataclass(frozen=True, slots=True)
class Flatten:
    """All axes but the first become one."""

    kind: ClassVar[OpKind] = OpKind.FLATTEN


@dataclass(frozen=True, slots=True)
class Reshape:
    """The same elements in another shape."""

    kind: ClassVar[OpKind] = OpKind.RESHAPE
    shape: Shape


@dataclass(frozen=True, slots=True)
class Concat:
    """Joins tensors along an axis, which is not negative."""

    kind: ClassVar[OpKind] = OpKind.CONCAT
    axis: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A weight or constant as a value. It reads nothing."""

    kind: ClassVar[OpKind] = OpKind.CONSTANT
    name: str


@dataclass(frozen=True, slots=True)
class Embedding:
    """Rows of a table [V, D] by indices of any shape."""

    kind: ClassVar[OpKind] = OpKind.EMBEDDING
    weight: str


@dataclass(frozen=True, slots=True)
class LayerNorm:
    """Normalization over the last axis; weight and bias have its extent."""

    kind: ClassVar[OpKind] = OpKind.LAYER_NORM
    weight: str | None
    bias: str | None
    eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class Softmax:
    """Softmax along an axis, which is not negative."""

    kind: ClassVar[OpKind] = OpKind.SOFTMAX
    axis: int


@dataclass(frozen=True, slots=True)
class ScaledDotProductAttention:
    """softmax(q @ k.T * scale + mask) @ v.

    Reads q, k and v of shape [N, H, S, D] and perhaps a mask that broadcasts to [N, H, S, S]: bool,
    where False leaves a pair out, or float32, which is added.
    """

    kind: ClassVar[OpKind] = OpKind.SCALED_DOT_PRODUCT_ATTENTION
    scale: float
    is_causal: bool = False


@dataclass(frozen=True, slots=True)
class MatMul:
    """The matrix product over the last two axes of two tensors, the others broadcast."""

    kind: ClassVar[OpKind] = OpKind.MATMUL


@dataclass(frozen=True, slots=True)
class Binary:
    """A function of two numbers, one of BINARY_KINDS; shapes are broadcast."""

    kind: OpKind


@dataclass(frozen=True, slots=True)
class Compare:
    """A comparison: eq, ne, lt, le, gt or ge; shapes are broadcast."""

    kind: ClassVar[OpKind] = OpKind.COMPARE
    function: str


@dataclass(frozen=True, slots=True)
class Where:
    """The second tensor where the first, of bool, is true, and the third elsewhere."""

    kind: ClassVar[OpKind] = OpKind.WHERE


@dataclass(frozen=True, slots=True)
class Cast:
    """Another element type."""

    kind: ClassVar[OpKind] = OpKind.CAST
    dtype: str


@dataclass(frozen=True, slots=True)
class Reduce:
    """Sum, mean or maximum over axes, which are not negative and ascend."""

    kind: ClassVar[OpKind] = OpKind.REDUCE
    function: str
    axes: tuple[int, ...]
    keep_dims: bool = False


@dataclass(frozen=True, slots=True)
class Transpose:
    """Axis i of the result is axis permutation[i] of the input."""

    kind: ClassVar[OpKind] = OpKind.TRANSPOSE
    permutation: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Every step-th element from start, included, to stop, excluded, along an axis."""

    kind: ClassVar[OpKind] = OpKind.SLICE
    axis: int
    start: int
    stop: int
    step: int = 1


@dataclass(frozen=True, slots=True)
class Expand:
    """Axes of one element repeated, and perhaps new ones in front."""

    kind: ClassVar[OpKind] = OpKind.EXPAND
    shape: Shape


@dataclass(frozen=True, slots=True)
class Pad:
    """One number put around a tensor: how many before and behind along each axis."""

    kind: ClassVar[OpKind] = OpKind.PAD
    pads: tuple[Pair, ...]
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class PRelu:
    """x for x > 0, else weight[c] * x; weight [C] of axis 1, or [1] for all."""

    kind: ClassVar[OpKind] = OpKind.PRELU
    weight: str


@dataclass(frozen=True, slots=True)
class GroupNorm:
    """Normalization of each sample over groups of channels and all that follows; weights [C]."""

    kind: ClassVar[OpKind] = OpKind.GROUP_NORM
    groups: int
    weight: str | None
    bias: str | None
    eps: float = 1e-5


@dataclass(frozen=True, slots=True)
class LogSoftmax:
    """The logarithm of the softmax along an axis, which is not negative."""

    kind: ClassVar[OpKind] = OpKind.LOG_SOFTMAX
    axis: int


@dataclass(frozen=True, slots=True)
class Dropout:
    """Zeroes elements, or whole channels, while training."""

    kind: ClassVar[OpKind] = OpKind.DROPOUT
    p: float = 0.5
    whole_channels: bool = False


@dataclass(frozen=True, slots=True)
class Quantized:
    """The nearest value that uint8 with these parameters holds, as a model states it itself.

    Attributes:
        scale: real = scale * (q - zero_point).
        zero_point: 0 to 255.
        qmin: The smallest byte; smaller ones become it.
        qmax: The greatest byte.
    """

    kind: ClassVar[OpKind] = OpKind.QUANTIZED
    scale: float
    zero_point: int
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Tabulated:
    """The entries of a table [256] uint8 for the bytes of a quantized value, with a new scale."""

    kind: ClassVar[OpKind] = OpKind.TABULATED
    table: str
    scale: float
    zero_point: int


Operation: TypeAlias = (
    Conv2d | ConvTranspose2d | Resize | Linear | BatchNorm | Unary | Clamp | Gelu | LeakyRelu
    | Elu | Pow | Add | Multiply
    | MaxPool | AveragePool | GlobalAveragePool | Flatten | Reshape | Concat | Constant | Embedding
    | LayerNorm | Softmax | ScaledDotProductAttention | MatMul | Binary | Compare | Where | Cast
    | Reduce | Transpose | Slice | Expand | Pad | PRelu | GroupNorm | LogSoftmax | Dropout
    | Quantized | Tabulated
)  # fmt: skip


def weight_names(operation: Operation) -> tuple[str, ...]:
    """Returns the names of the weights that an operation reads."""
    names: tuple[str | None, ...] = ()
    match operation:
        case (
            Conv2d(weight, bias)
            | ConvTranspose2d(weight, bias)
            | Linear(weight, bias)
            | LayerNorm(weight, bias)
        ):
            names = (weight, bias)
        case GroupNorm(_, weight, bias):
            names = (weight, bias)
        case Constant(name):
            names = (name,)
        case Embedding(weight) | PRelu(weight) | Tabulated(weight):
            names = (weight,)
        case BatchNorm(weight, bias, running_mean, running_var):
            names = (weight, bias, running_mean, running_var)
    return tuple(name for name in names if name is not None)
