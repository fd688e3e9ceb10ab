"""Random valid programs of the steps on floats, indices and masks, and of those that move bytes."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program import (
    BINARY_TYPES,
    COMPARISONS,
    REDUCTIONS,
    UNARY_PARAMETERS,
    Binary,
    Cast,
    Compare,
    Concat,
    ConstantTensor,
    Dequantize,
    DType,
    DynamicLinear,
    Embedding,
    Expand,
    FloatConv2d,
    FloatConvTranspose2d,
    Gather,
    LayerNorm,
    Linear,
    MatMul,
    Pad,
    Program,
    Quantize,
    Reduce,
    Reshape,
    Slice,
    Softmax,
    Step,
    TensorInfo,
    Transpose,
    Unary,
    Where,
    verify,
)

MOST_VALUES = 6_000
SPECIAL_FLOATS = (np.nan, np.inf, -np.inf, -0.0, 1e-42, -1e-42, 3e38, -3e38, 87.5, -104.0, 0.5)
Shape = tuple[int, ...]


class RandomFloatProgram:
    """A program that grows step by step, with inputs for it.

    Attributes:
        inputs: One array for each input of the program.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._has_special_values = self._one_in(3)
        self._shapes: dict[str, Shape] = {}
        self._tensors: dict[str, TensorInfo] = {}
        self._constants: dict[str, NDArray[np.generic]] = {}
        self._steps: list[Step] = []
        self.inputs: dict[str, NDArray[Any]] = {}
        for _ in range(self._pick(1, 2, 3)):
            self._add_input()
        for _ in range(self._below(3, 24)):
            source = self._pick(*self._tensors.values())
            self._pick(*_RULES[source.dtype])(self, source)

    def program(self) -> Program:
        """Returns the program; any of its tensors may be outputs."""
        names = list(self._tensors)
        some = [name for name in names if self._one_in(3)]
        return self._program(tuple(dict.fromkeys([*some, names[-1]])))

    def _program(self, outputs: tuple[str, ...]) -> Program:
        return Program(
            tuple(self.inputs),
            outputs,
            dict(self._tensors),
            tuple(self._steps),
            dict(self._constants),
        )

    def _pick(self, *choices: Any) -> Any:
        return choices[self._rng.integers(len(choices))]

    def _below(self, low: int, high: int) -> int:
        return int(self._rng.integers(low, high))

    def _one_in(self, count: int) -> bool:
        return bool(self._rng.integers(count) == 0)

    def _shape(self) -> Shape:
        rank = self._pick(1, 2, 2, 3, 3, 3, 4, 4, 5)
        extents = [self._pick(1, 2, 3, 5, 7, 16, 17, self._below(1, 80)) for _ in range(rank)]
        while np.prod(extents) > MOST_VALUES:
            extents[self._below(0, rank)] = self._pick(1, 2, 3)
        return tuple(extents)

    def _values(self, dtype: DType, shape: Shape) -> NDArray[Any]:
        if dtype is DType.UINT8:
            return self._rng.integers(0, 256, shape, np.uint8)
        if dtype is DType.BOOL:
            return self._rng.integers(0, 2, shape).astype(np.bool_)
        if dtype is DType.INT64:
            return self._rng.integers(-3, 40, shape)
        size = self._pick(1.0, 1.0, 8.0, 2.0**-70, 1e20)
        values = (self._rng.normal(0, size, shape)).astype(np.float32)
        if self._has_special_values:
            places = self._rng.integers(0, values.size, min(values.size, len(SPECIAL_FLOATS)))
            values.reshape(-1)[places] = SPECIAL_FLOATS[: places.size]
        return values

    def _declare(self, dtype: DType, shape: Shape, like: TensorInfo | None = None) -> TensorInfo:
        name = f"t{len(self._tensors)}"
        scale, zero_point = (None, 0) if like is None else (like.scale, like.zero_point)
        if dtype is DType.UINT8 and like is None:
            exponent = self._rng.uniform(-8, 2)
            scale, zero_point = float(np.float32(2.0**exponent)), self._below(0, 256)
        declared = tuple(None if self._one_in(6) else extent for extent in shape)
        self._shapes[name] = shape
        return TensorInfo(name, dtype, declared, scale, zero_point)

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = values
        return name

    def _add_input(self) -> None:
        dtype = self._pick(DType.FLOAT32, DType.FLOAT32, DType.UINT8, DType.INT64, DType.BOOL)
        tensor = self._declare(dtype, self._shape())
        self._tensors[tensor.name] = tensor
        self.inputs[tensor.name] = self._values(dtype, self._shapes[tensor.name])

    def _append(
        self,
        kind: Any,
        dtype: DType,
        shape: Shape,
        /,
        like: TensorInfo | None = None,
        **fields: Any,
    ) -> None:
        """Adds a step unless that breaks a rule or makes too many values."""
        if not shape or len(shape) > 8 or np.prod(shape) > MOST_VALUES:
            return
        output = self._declare(dtype, shape, like)
        self._tensors[output.name] = output
        self._steps.append(kind(output=output.name, **fields))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                verify(self._program((output.name,)))
        except ProgramError:
            del self._tensors[output.name]
            self._steps.pop()

    def _add_constant(self, dtype: DType, shape: Shape) -> str:
        """Adds a constant as a tensor and returns its name."""
        value = self._constant(self._values(dtype, shape))
        output = TensorInfo(f"t{len(self._tensors)}", dtype, shape)
        self._shapes[output.name] = shape
        self._tensors[output.name] = output
        self._steps.append(ConstantTensor(output.name, value))
        return output.name

    def _partner(self, source: TensorInfo) -> str:
        """Returns a tensor that can be broadcast against this one; often a constant."""
        shape = self._shapes[source.name]
        fitting = [
            name
            for name, tensor in self._tensors.items()
            if tensor.dtype is source.dtype and _broadcast(self._shapes[name], shape) is not None
        ]
        if self._one_in(2):
            kept = shape[self._below(0, len(shape)) :]
            return self._add_constant(
                source.dtype, tuple(1 if self._one_in(3) else n for n in kept)
            )
        name: str = self._pick(*fitting)
        return name

    def _operands(self, source: TensorInfo) -> tuple[dict[str, str], Shape]:
        partner = self._partner(source)
        lhs, rhs = self._pick((source.name, partner), (partner, source.name))
        shape = _broadcast(self._shapes[lhs], self._shapes[rhs])
        assert shape is not None
        return {"lhs": lhs, "rhs": rhs}, shape

    def _float_conv(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        if len(shape) != 4:
            return
        groups = self._pick(*(n for n in (1, 1, 2, 3, shape[1]) if shape[1] % n == 0))
        kernel = [self._below(1, 4) for _ in range(2)]
        stride, dilation = (
            (self._below(1, 4), self._pick(1, 1, 2)),
            (self._pick(1, 2), self._below(1, 3)),
        )
        padding = tuple(self._below(0, 3) for _ in range(4))
        outs = self._pick(1, 2, 5)
        ends = [padding[axis] + padding[axis + 2] for axis in (0, 1)]
        reach = [dilation[axis] * (kernel[axis] - 1) + 1 for axis in (0, 1)]
        fields = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
        if self._one_in(2):
            extra = tuple(self._below(0, max(pair)) for pair in zip(stride, dilation, strict=True))
            extents = [
                (shape[axis + 2] - 1) * stride[axis] + reach[axis] - ends[axis] + extra[axis]
                for axis in (0, 1)
            ]
            weight = self._finite((shape[1], outs, *kernel))
            kind, fields = FloatConvTranspose2d, {**fields, "output_padding": extra}
        else:
            extents = [
                (shape[axis + 2] + ends[axis] - reach[axis]) // stride[axis] + 1 for axis in (0, 1)
            ]
            weight = self._finite((outs * groups, shape[1] // groups, *kernel))
            kind = FloatConv2d
        if min(extents) < 1:
            return
        self._append(
            kind,
            DType.FLOAT32,
            (shape[0], outs * groups, *extents),
            input=source.name,
            weight=self._constant(weight),
            bias=self._constant(self._values(DType.FLOAT32, (outs * groups,))),
            **fields,
        )

    def _finite(self, shape: Shape) -> NDArray[Any]:
        return np.nan_to_num(self._values(DType.FLOAT32, shape))

    def _unary(self, source: TensorInfo) -> None:
        function = "not"
        if source.dtype is DType.FLOAT32:
            function = self._pick(*(name for name in UNARY_PARAMETERS if name != "not"))
        parameters = sorted(
            float(np.float32(value)) for value in self._rng.normal(0, 2, UNARY_PARAMETERS[function])
        )
        if function == "pow":
            parameters = [self._pick(-1.0, -0.5, 0.5, 2.0, 3.0, 0.0, 1.5, parameters[0])]
        shape = self._shapes[source.name]
        self._append(
            Unary,
            source.dtype,
            shape,
            input=source.name,
            function=function,
            parameters=tuple(parameters),
        )

    def _binary(self, source: TensorInfo) -> None:
        functions = [name for name, types in BINARY_TYPES.items() if source.dtype in types]
        operands, shape = self._operands(source)
        self._append(Binary, source.dtype, shape, function=self._pick(*functions), **operands)

    def _compare(self, source: TensorInfo) -> None:
        operands, shape = self._operands(source)
        self._append(Compare, DType.BOOL, shape, function=self._pick(*COMPARISONS), **operands)

    def _where(self, source: TensorInfo) -> None:
        operands, shape = self._operands(source)
        masks = [
            name
            for name, tensor in self._tensors.items()
            if tensor.dtype is DType.BOOL and _broadcast(self._shapes[name], shape) is not None
        ]
        condition = self._pick(*masks, self._add_constant(DType.BOOL, shape[-1:]))
        joined = _broadcast(self._shapes[condition], shape)
        assert joined is not None
        self._append(Where, source.dtype, joined, condition=condition, **operands)

    def _cast(self, source: TensorInfo) -> None:
        dtype = self._pick(DType.FLOAT32, DType.INT64, DType.BOOL)
        self._append(Cast, dtype, self._shapes[source.name], input=source.name)

    def _reduce(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        function = self._pick(*REDUCTIONS)
        count = 1 if function == "argmax" else self._below(1, len(shape) + 1)
        axes = tuple(sorted(int(axis) for axis in self._rng.permutation(len(shape))[:count]))
        keep = self._one_in(2)
        kept = tuple(
            1 if axis in axes else n for axis, n in enumerate(shape) if keep or axis not in axes
        )
        dtype = DType.INT64 if function == "argmax" else DType.FLOAT32
        self._append(
            Reduce, dtype, kept, input=source.name, function=function, axes=axes, keep_dims=keep
        )

    def _softmax(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        axis = self._pick(len(shape) - 1, self._below(0, len(shape)))
        self._append(Softmax, DType.FLOAT32, shape, input=source.name, axis=axis)

    def _layer_norm(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        weight, bias = (
            None if self._one_in(3) else self._constant(self._values(DType.FLOAT32, shape[-1:]))
            for _ in range(2)
        )
        self._append(
            LayerNorm,
            DType.FLOAT32,
            shape,
            input=source.name,
            epsilon=self._pick(0.0, 2.0**-17, 0.5),
            weight=weight,
            bias=bias,
        )

    def _matmul(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        if len(shape) < 2:
            return
        columns = self._below(1, 90)
        transposed = self._one_in(2)
        lead = shape[self._below(0, len(shape) - 1) : -2]
        lead = tuple(1 if self._one_in(3) else n for n in lead)
        matrix = (columns, shape[-1]) if transposed else (shape[-1], columns)
        if np.prod((*lead, *matrix)) > MOST_VALUES:
            return
        rhs = self._add_constant(DType.FLOAT32, (*lead, *matrix))
        self._append(
            MatMul,
            DType.FLOAT32,
            (*shape[:-1], columns),
            lhs=source.name,
            rhs=rhs,
            transpose_rhs=transposed,
        )

    def _weight(self, outs: int, features: int) -> dict[str, str]:
        weight = self._rng.integers(-127, 128, (outs, features)).astype(np.int8)
        scale = (2.0 ** self._rng.uniform(-10, 2, outs)).astype(np.float32)
        return {"weight": self._constant(weight), "weight_scale": self._constant(scale)}

    def _dynamic_linear(self, source: TensorInfo) -> None:
        shape, outs = self._shapes[source.name], self._below(1, 40)
        bias = self._constant(self._values(DType.FLOAT32, (outs,)))
        self._append(
            DynamicLinear,
            DType.FLOAT32,
            (*shape[:-1], outs),
            input=source.name,
            bias=bias,
            **self._weight(outs, shape[-1]),
        )

    def _linear(self, source: TensorInfo) -> None:
        shape, outs = self._shapes[source.name], self._below(1, 40)
        bias = self._constant(self._rng.integers(-3000, 3001, outs).astype(np.int32))
        self._append(
            Linear,
            self._pick(DType.FLOAT32, DType.UINT8),
            (*shape[:-1], outs),
            input=source.name,
            bias=bias,
            **self._weight(outs, shape[-1]),
        )

    def _quantize(self, source: TensorInfo) -> None:
        self._append(Quantize, DType.UINT8, self._shapes[source.name], input=source.name)

    def _dequantize(self, source: TensorInfo) -> None:
        self._append(Dequantize, DType.FLOAT32, self._shapes[source.name], input=source.name)

    def _embed(self, source: TensorInfo) -> None:
        rows, columns = self._below(1, 40), self._below(1, 40)
        constants = self._weight(rows, columns)
        self._append(
            Embedding,
            DType.FLOAT32,
            (*self._shapes[source.name], columns),
            indices=source.name,
            table=constants["weight"],
            table_scale=constants["weight_scale"],
        )

    def _gather(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        axis = self._below(0, len(shape))
        indices = [name for name, tensor in self._tensors.items() if tensor.dtype is DType.INT64]
        chosen = self._pick(*indices, self._add_constant(DType.INT64, (self._below(1, 5),)))
        joined = (*shape[:axis], *self._shapes[chosen], *shape[axis + 1 :])
        self._append(
            Gather, source.dtype, joined, source, input=source.name, indices=chosen, axis=axis
        )

    def _transpose(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        permutation = tuple(int(axis) for axis in self._rng.permutation(len(shape)))
        turned = tuple(shape[axis] for axis in permutation)
        self._append(
            Transpose, source.dtype, turned, source, input=source.name, permutation=permutation
        )

    def _slice(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        axis = self._below(0, len(shape))
        extent = shape[axis]
        start, stop = self._below(-extent, extent), self._below(-extent, extent + 3)
        stride = self._pick(1, 1, 2, 3)
        left = len(range(*slice(start, stop, stride).indices(extent)))
        if left < 1:
            return
        cut = (*shape[:axis], left, *shape[axis + 1 :])
        fields = {"axis": axis, "start": start, "stop": stop, "stride": stride}
        self._append(Slice, source.dtype, cut, source, input=source.name, **fields)

    def _expand(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        wide = tuple(self._below(1, 6) if n == 1 else n for n in shape)
        wide = (*(self._below(1, 4) for _ in range(self._below(0, 3))), *wide)
        missing = len(wide) - len(shape)
        target = tuple(
            0 if axis >= missing and shape[axis - missing] == n and self._one_in(2) else n
            for axis, n in enumerate(wide)
        )
        self._append(Expand, source.dtype, wide, source, input=source.name, shape=target)

    def _pad(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        pads = tuple((self._pick(0, 0, 1, 2), self._pick(0, 0, 1, 3)) for _ in shape)
        padded = tuple(a + n + b for n, (a, b) in zip(shape, pads, strict=True))
        value = self._pick(0.0, 1.0, -2.5)
        self._append(Pad, source.dtype, padded, source, input=source.name, pads=pads, value=value)

    def _concat(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        axis = self._below(0, len(shape))
        fitting = [
            name
            for name, tensor in self._tensors.items()
            if (tensor.dtype, tensor.scale, tensor.zero_point)
            == (source.dtype, source.scale, source.zero_point)
            and len(self._shapes[name]) == len(shape)
            and _without(self._shapes[name], axis) == _without(shape, axis)
        ]
        parts = tuple(self._pick(*fitting) for _ in range(self._below(1, 4)))
        joined = sum(self._shapes[name][axis] for name in parts)
        whole = (*shape[:axis], joined, *shape[axis + 1 :])
        self._append(Concat, source.dtype, whole, source, inputs=parts, axis=axis)

    def _reshape(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        place = self._below(0, len(shape))
        count = shape[place]
        divisor = self._pick(*(n for n in range(1, count + 1) if count % n == 0))
        split = (*shape[:place], divisor, count // divisor, *shape[place + 1 :])
        merged = (*shape[: max(place - 1, 0)], -1, *shape[place + 1 :])
        target = self._pick(split, merged)
        known = int(np.prod([n for n in target if n != -1]))
        result = tuple(int(np.prod(shape)) // known if n == -1 else n for n in target)
        self._append(Reshape, source.dtype, result, source, input=source.name, shape=target)


def _without(shape: Shape, axis: int) -> Shape:
    return (*shape[:axis], *shape[axis + 1 :])


def _broadcast(lhs: Shape, rhs: Shape) -> Shape | None:
    try:
        return np.broadcast_shapes(lhs, rhs)
    except ValueError:
        return None


Rule = Callable[[RandomFloatProgram, TensorInfo], None]
_R = RandomFloatProgram
_MOVING: tuple[Rule, ...] = (
    *(_R._gather, _R._transpose, _R._slice, _R._expand, _R._pad, _R._concat, _R._reshape),
)
_RULES: dict[DType, tuple[Rule, ...]] = {
    DType.FLOAT32: (
        *(_R._unary, _R._unary, _R._binary, _R._binary, _R._compare, _R._where, _R._cast),
        *(_R._reduce, _R._reduce, _R._softmax, _R._layer_norm, _R._matmul, _R._matmul),
        *(_R._dynamic_linear, _R._quantize, _R._float_conv, _R._float_conv, *_MOVING),
    ),
    DType.INT64: (_R._binary, _R._compare, _R._where, _R._cast, _R._embed, *_MOVING),
    DType.BOOL: (_R._unary, _R._binary, _R._where, _R._cast, *_MOVING),
    DType.UINT8: (_R._linear, _R._linear, _R._dequantize, *_MOVING, *_MOVING),
}
