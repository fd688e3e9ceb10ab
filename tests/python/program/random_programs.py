"""Random valid programs of all kinds of steps, for comparing implementations with each other."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program import (
    Add,
    AveragePool2d,
    Concat,
    Conv2d,
    ConvTranspose2d,
    Dequantize,
    DType,
    GlobalAveragePool,
    Linear,
    Lookup,
    MaxPool2d,
    Multiply,
    Program,
    Quantize,
    Reshape,
    Resize,
    Step,
    TensorInfo,
    verify,
)

Arrays = dict[str, NDArray[Any]]
QParams = tuple[float, int]

MOST_VALUES = 20_000
ZERO_POINTS = (0, 0, 1, 3, 127, 128, 254, 255)
SPECIAL_FLOATS = (np.nan, np.inf, -np.inf, -0.0, 1e-42, -1e-42, 3e38, -3e38, 0.5, 1.5, 2.5, -0.5)


class RandomProgram:
    """A program that grows step by step, with inputs for it.

    Attributes:
        inputs: One array for each input of the program, with NaN and infinities.
    """

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._is_extreme = self._one_in(4)
        self._batch = self._pick(1, 1, 2, 3, 5)
        self._has_open_batch = self._one_in(2)
        self._shapes: dict[str, tuple[int, ...]] = {}
        self._tensors: dict[str, TensorInfo] = {}
        self._constants: dict[str, NDArray[np.generic]] = {}
        self._steps: list[Step] = []
        self.inputs: Arrays = {}
        for _ in range(self._pick(1, 1, 2, 3)):
            self._add_input()
        for _ in range(self._below(2, 18)):
            self._grow()

    def program(self) -> Program:
        """Returns the program; any of its tensors may be outputs, inputs and inner ones too."""
        names = list(self._tensors)
        some = [name for name in names if self._one_in(3)]
        outputs = tuple(dict.fromkeys([*some, names[-1]]))
        return self._program(outputs)

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

    def _scale(self) -> float:
        exponent = self._rng.uniform(-60, 60) if self._is_extreme else self._rng.uniform(-8, 2)
        return float(np.float32(2.0**exponent))

    def _qparams(self) -> QParams:
        return self._scale(), self._pick(*ZERO_POINTS, self._below(0, 256))

    def _clamp(self) -> dict[str, int]:
        low = self._pick(0, 0, 0, self._below(0, 256))
        return {"qmin": low, "qmax": self._pick(255, 255, low, self._below(low, 256))}

    def _declare(
        self, shape: tuple[int, ...], qparams: QParams | None, *, name: str = "t"
    ) -> TensorInfo:
        name = f"{name}{len(self._tensors)}"
        first = None if self._has_open_batch and shape[0] == self._batch else shape[0]
        scale, zero_point = (None, 0) if qparams is None else qparams
        dtype = DType.FLOAT32 if qparams is None else DType.UINT8
        self._shapes[name] = shape
        return TensorInfo(name, dtype, (first, *shape[1:]), scale, zero_point)

    def _constant(self, values: NDArray[Any]) -> str:
        name = f"c{len(self._constants)}"
        self._constants[name] = values
        return name

    def _add_input(self) -> None:
        channels = self._below(1, 71)
        side = self._pick(1, 2, 5, 8) if channels > 16 else self._pick(1, 3, 7, 12, 19)
        image = (self._batch, channels, side, self._pick(side, 1, self._below(1, 14)))
        shape = self._pick(image, image, image, (self._batch, channels), (self._batch, 3, side))
        is_float = not self._one_in(4)
        tensor = self._declare(shape, None if is_float else self._qparams(), name="x")
        self._tensors[tensor.name] = tensor
        if not is_float:
            self.inputs[tensor.name] = self._rng.integers(0, 256, shape, np.uint8)
            return
        scale, zero_point = qparams = self._qparams()
        values = (self._rng.uniform(-2, 257, shape) - zero_point) * scale
        values = np.clip(values, -3e38, 3e38).astype(np.float32)
        if self._one_in(3):
            places = self._rng.integers(0, values.size, len(SPECIAL_FLOATS))
            values.reshape(-1)[places] = SPECIAL_FLOATS
        ties = self._rng.integers(0, values.size, 3)
        values.reshape(-1)[ties] = np.float32(scale) * (self._rng.integers(0, 9, 3) + 0.5)
        self.inputs[tensor.name] = values
        if not self._one_in(8):
            self._append(Quantize, shape, qparams, input=tensor.name)

    def _append(
        self, kind: Any, shape: tuple[int, ...], qparams: QParams | None, /, **fields: Any
    ) -> None:
        """Adds a step unless that breaks a rule, such as that of accumulators."""
        output = self._declare(shape, qparams)
        self._tensors[output.name] = output
        self._steps.append(kind(output=output.name, **fields))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", RuntimeWarning)
                verify(self._program((output.name,)))
        except ProgramError:
            del self._tensors[output.name]
            self._steps.pop()

    def _source(self) -> TensorInfo:
        """Picks a tensor to read, most often an image, which most kinds of steps work on."""
        tensors = list(self._tensors.values())
        images = [t for t in tensors if t.dtype is DType.UINT8 and len(t.shape) == 4]
        source: TensorInfo = self._pick(*(tensors if self._one_in(3) or not images else images))
        return source

    def _grow(self) -> None:
        source = self._source()
        if source.dtype is DType.FLOAT32:
            rules = [self._quantize, self._reshape]
        else:
            rules = [self._add, self._multiply, self._lookup, self._reshape, self._dequantize]
            rank = len(source.shape)
            rules += [self._concat] if rank > 1 else []
            rules += [self._linear] * 3 if rank == 2 else []
            if rank == 4:
                rules += (
                    [self._convolve] * 5
                    + [self._transpose_convolve] * 2
                    + [self._resize]
                    + [self._average, self._maximum, self._mean]
                )
        self._pick(*rules)(source)

    def _quantize(self, source: TensorInfo) -> None:
        self._append(Quantize, self._shapes[source.name], self._qparams(), input=source.name)

    def _dequantize(self, source: TensorInfo) -> None:
        self._append(Dequantize, self._shapes[source.name], None, input=source.name)

    def _lookup(self, source: TensorInfo) -> None:
        table = self._constant(self._rng.integers(0, 256, 256, np.uint8))
        shape = self._shapes[source.name]
        self._append(Lookup, shape, self._qparams(), input=source.name, table=table)

    def _reshape(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        inner = int(np.prod(shape[1:]))
        divisor = self._pick(*[n for n in range(1, inner + 1) if inner % n == 0])
        second = self._pick(
            *[n for n in range(1, inner // divisor + 1) if inner // divisor % n == 0]
        )
        image = (shape[0], divisor, second, inner // divisor // second)
        target = self._pick(image, image, (shape[0], inner), (shape[0], divisor, inner // divisor))
        fields = [0, *target[1:]]
        if self._one_in(2):
            fields[self._below(1, len(fields))] = -1
        qparams = None if source.scale is None else (source.scale, source.zero_point)
        self._append(Reshape, target, qparams, input=source.name, shape=tuple(fields))

    def _partners(self, source: TensorInfo) -> list[str]:
        """Quantized tensors that may stand beside this one; itself among them."""
        shape = self._shapes[source.name]
        return [
            name
            for name, tensor in self._tensors.items()
            if tensor.dtype is source.dtype
            and len(self._shapes[name]) == len(shape)
            and (self._shapes[name][0], *self._shapes[name][2:]) == (shape[0], *shape[2:])
        ]

    def _add(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        same = [name for name in self._partners(source) if self._shapes[name] == shape]
        operands = (source.name, self._pick(*same))
        lhs, rhs = operands if self._one_in(2) else operands[::-1]
        self._append(Add, shape, self._qparams(), lhs=lhs, rhs=rhs, **self._clamp())

    def _multiply(self, source: TensorInfo) -> None:
        shape = self._shapes[source.name]
        wanted = shape
        if len(shape) == 4 and self._one_in(2):
            self._mean(source)
            wanted = (*shape[:2], 1, 1)
        fitting = [
            name
            for name, tensor in self._tensors.items()
            if tensor.dtype is DType.UINT8 and self._shapes[name] in (wanted, shape)
        ]
        operands = (source.name, self._pick(*fitting))
        lhs, rhs = operands if self._one_in(2) else operands[::-1]
        self._append(Multiply, shape, self._qparams(), lhs=lhs, rhs=rhs, **self._clamp())

    def _concat(self, source: TensorInfo) -> None:
        if source.scale is None:
            return
        wanted = (source.scale, source.zero_point)
        fitting = [
            name
            for name in self._partners(source)
            if (self._tensors[name].scale, self._tensors[name].zero_point) == wanted
        ]
        parts = [source.name, *(self._pick(*fitting) for _ in range(self._below(0, 5)))]
        shape = self._shapes[source.name]
        channels = sum(self._shapes[name][1] for name in parts)
        joined = (shape[0], channels, *shape[2:])
        self._append_if_small(
            Concat, joined, (source.scale, source.zero_point), inputs=tuple(parts)
        )

    def _append_if_small(
        self, kind: Any, shape: tuple[int, ...], qparams: QParams | None, /, **fields: Any
    ) -> None:
        if min(shape) >= 1 and np.prod(shape) <= MOST_VALUES:
            self._append(kind, shape, qparams, **fields)

    def _layer(self, source: TensorInfo, shape: tuple[int, ...]) -> tuple[QParams, dict[str, str]]:
        """Invents a layer's output parameters and constants, at times at the edge of int32."""
        outs, fan_in = shape[0], int(np.prod(shape[1:]))
        weight = self._rng.integers(-127, 128, shape).astype(np.int8)
        if self._one_in(5):
            weight[...] = self._pick(-127, 127, 0)
        bias = self._rng.integers(-3000, 3001, outs)
        magnitude = 127.0 * 74.0 * np.sqrt(fan_in)
        if self._one_in(4):  # each channel as near to 2^31 as verify allows
            sums = weight.reshape(outs, -1).astype(np.int64)
            room = 2**31 - 1 - 255 * np.abs(sums).sum(axis=1)
            signs = self._rng.choice([-1, 1], outs)
            bias = np.clip(signs * room + source.zero_point * sums.sum(axis=1), -(2**31), 2**31 - 1)
            magnitude = 2.0**31
        assert source.scale is not None
        scale, zero_point = self._qparams()
        factor = self._pick(60.0 / magnitude, 60.0 / magnitude, 0.5, 1.0)
        if self._is_extreme:
            factor = self._pick(factor, 1.2e-38, 2e-38, 1e30, 3e38)
        spread = self._rng.choice([1.0, 0.97, 0.5, 0.013], outs)
        exact = factor * spread * scale / source.scale
        constants = {
            "weight": self._constant(weight),
            "weight_scale": self._constant(np.clip(exact, 2.0**-60, 2.0**60).astype(np.float32)),
            "bias": self._constant(bias.astype(np.int32)),
        }
        return (scale, zero_point), constants

    def _linear(self, source: TensorInfo) -> None:
        rows, features = self._shapes[source.name]
        outs = self._below(1, 71)
        qparams, constants = self._layer(source, (outs, features))
        self._append(Linear, (rows, outs), qparams, input=source.name, **constants, **self._clamp())

    def _window(self, extent: int, most_padding: int | None) -> tuple[int, int, int, int, int, int]:
        """Returns kernel, stride, padding before and behind, dilation and the number of windows."""
        kernel = self._pick(1, 1, 2, 3, 3, 4, 5, 7)
        dilation = self._pick(1, 1, 1, 2, 3) if most_padding is None or self._one_in(2) else 1
        span = dilation * (kernel - 1) + 1
        most = span // 2 if most_padding is not None else self._pick(0, 1, span // 2, span + 2)
        before, behind = self._below(0, most + 1), self._below(0, most + 1)
        stride = self._pick(1, 1, 2, 3, kernel + 1)
        return (
            kernel,
            stride,
            before,
            behind,
            dilation,
            (extent + before + behind - span) // stride + 1,
        )

    def _geometry(
        self, source: TensorInfo, *, is_pool: bool
    ) -> tuple[tuple[int, int], dict[str, Any], tuple[int, int]]:
        shape = self._shapes[source.name]
        vertical, horizontal = (self._window(n, 0 if is_pool else None) for n in shape[2:])
        fields = {
            "stride": (vertical[1], horizontal[1]),
            "padding": (vertical[2], horizontal[2], vertical[3], horizontal[3]),
            "dilation": (vertical[4], horizontal[4]),
        }
        return (vertical[0], horizontal[0]), fields, (vertical[5], horizontal[5])

    def _convolve(self, source: TensorInfo) -> None:
        batch, channels = self._shapes[source.name][:2]
        kernel, fields, spatial = self._geometry(source, is_pool=False)
        groups = self._pick(
            1, 1, channels, *[n for n in range(1, channels + 1) if channels % n == 0]
        )
        outs = groups * self._pick(1, 1, 2, 3, max(1, self._below(1, 71) // groups))
        if min(spatial) < 1 or outs > 140:
            return
        qparams, constants = self._layer(source, (outs, channels // groups, *kernel))
        self._append_if_small(
            Conv2d,
            (batch, outs, *spatial),
            qparams,
            input=source.name,
            groups=groups,
            **constants,
            **fields,
            **self._clamp(),
        )

    def _transpose_convolve(self, source: TensorInfo) -> None:
        batch, channels, *spatial = self._shapes[source.name]
        groups = self._pick(1, 1, *[n for n in range(1, channels + 1) if channels % n == 0])
        per_group = self._pick(1, 2, max(1, self._below(1, 35) // groups))
        axes = [self._stretch(extent) for extent in spatial]
        kernel, stride, before, behind, extra, dilation, extents = zip(*axes, strict=True)
        if min(extents) < 1 or groups * per_group > 140:
            return
        qparams, constants = self._layer(source, (groups * per_group, channels // groups, *kernel))
        self._constants[constants["weight"]] = _by_input(
            self._constants[constants["weight"]], groups
        )
        self._append_if_small(
            ConvTranspose2d,
            (batch, groups * per_group, *extents),
            qparams,
            input=source.name,
            **constants,
            stride=stride,
            padding=(before[0], before[1], behind[0], behind[1]),
            output_padding=extra,
            dilation=dilation,
            groups=groups,
            **self._clamp(),
        )

    def _stretch(self, extent: int) -> tuple[int, ...]:
        """Returns kernel, stride, cuts before and behind, extra, dilation and the extent."""
        kernel, stride = self._pick(1, 2, 2, 3, 3, 4, 5), self._pick(1, 2, 2, 3)
        dilation = self._pick(1, 1, 1, 2, 3)
        span = dilation * (kernel - 1) + 1
        most = self._pick(0, 1, span // 2, span)
        before, behind = self._below(0, most + 1), self._below(0, most + 1)
        extra = self._pick(0, self._below(0, max(stride, dilation)))
        found = (extent - 1) * stride + span - before - behind + extra
        return kernel, stride, before, behind, extra, dilation, found

    def _resize(self, source: TensorInfo) -> None:
        batch, channels, *spatial = self._shapes[source.name]
        size = tuple(self._pick(n, 2 * n, self._below(1, 25), max(1, n // 2)) for n in spatial)
        mode = self._pick("nearest", "nearest_exact", "bilinear", "bilinear")
        aligns = mode == "bilinear" and self._one_in(2)
        ratios = [before / after for before, after in zip(spatial, size, strict=True)]
        if aligns:
            ratios = [
                (before - 1) / (after - 1) if after > 1 else 0.0
                for before, after in zip(spatial, size, strict=True)
            ]
        if self._one_in(8):
            ratios = [0.0, 3e38]
        assert source.scale is not None
        self._append_if_small(
            Resize,
            (batch, channels, *size),
            (source.scale, source.zero_point),
            input=source.name,
            mode=mode,
            size=size,
            ratio=tuple(float(np.float32(ratio)) for ratio in ratios),
            align_corners=aligns,
        )

    def _average(self, source: TensorInfo) -> None:
        batch, channels, height, width = self._shapes[source.name]
        kernel, fields, _ = self._geometry(source, is_pool=True)
        stride, padding = fields["stride"], fields["padding"]
        padding = tuple(min(n, kernel[i % 2] // 2) for i, n in enumerate(padding))
        rows = (height + padding[0] + padding[2] - kernel[0]) // stride[0] + 1
        columns = (width + padding[1] + padding[3] - kernel[1]) // stride[1] + 1
        self._append_if_small(
            AveragePool2d,
            (batch, channels, rows, columns),
            self._qparams(),
            input=source.name,
            kernel=kernel,
            stride=stride,
            padding=padding,
            count_include_pad=self._one_in(2),
            **self._clamp(),
        )

    def _mean(self, source: TensorInfo) -> None:
        shape = (*self._shapes[source.name][:2], 1, 1)
        self._append(GlobalAveragePool, shape, self._qparams(), input=source.name, **self._clamp())

    def _maximum(self, source: TensorInfo) -> None:
        kernel, fields, spatial = self._geometry(source, is_pool=True)
        assert source.scale is not None
        self._append_if_small(
            MaxPool2d,
            (*self._shapes[source.name][:2], *spatial),
            (source.scale, source.zero_point),
            input=source.name,
            kernel=kernel,
            **fields,
        )


def _by_input(weight: NDArray[Any], groups: int) -> NDArray[Any]:
    """Returns weights [O, C / groups, KH, KW] as transposed convolutions take them."""
    outs, group_channels, *kernel = weight.shape
    grouped = weight.reshape(groups, outs // groups, group_channels, *kernel)
    return grouped.swapaxes(1, 2).reshape(groups * group_channels, outs // groups, *kernel)
