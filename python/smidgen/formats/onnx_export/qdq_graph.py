"""Writes the ONNX graph of a program: real values, and the steps from and to quantized ones."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ValueInfoProto, helper

from smidgen.formats.onnx_export.onnx_graph import OnnxGraph
from smidgen.program import Conv2d, ConvTranspose2d, DType, Linear, Program, TensorInfo

QMIN, QMAX = 0, 255


class Sums(enum.StrEnum):
    """How the sum of two quantized tensors is written."""

    EXACT = "exact"
    """So that every runtime that follows ONNX gives the bytes of the step."""

    FUSED = "fused"
    """As the float operator, which runtimes fuse; rarely a byte is off by one."""


class QdqGraph(OnnxGraph):
    """The ONNX graph of a program.

    A quantized tensor of the program is a uint8 value of the same name. Operators work on real
    values: `real` gives the one of a tensor, `write` makes a node's result a tensor.

    Args:
        program: The program that the graph is made of.
        sums: How sums are written.
    """

    def __init__(self, program: Program, sums: Sums = Sums.EXACT) -> None:
        super().__init__(program.tensors)
        self.sums = sums
        self.program = program
        self._reals: dict[str, str] = {}
        self._qparam_names: dict[str, list[str]] = {}

    def finish(self, name: str) -> GraphProto:
        """Returns the graph with the program's inputs and outputs."""
        inputs, outputs = (
            [self._value(tensor) for tensor in names]
            for names in (self.program.inputs, self.program.outputs)
        )
        return self._make(name, inputs, outputs)

    def real(self, name: str) -> str:
        """Returns the real value of a tensor; dequantizes a quantized one, once."""
        if self.program.tensor(name).dtype is not DType.UINT8:
            return name
        if name not in self._reals:
            self._reals[name] = self.dequantize(name)
        return self._reals[name]

    def dequantize(self, name: str, output: str | None = None) -> str:
        """Adds DequantizeLinear of a tensor."""
        return self.node("DequantizeLinear", [name, *self._qparams(name)], output)

    def dequantize_as(self, tensor: str, value: str) -> str:
        """Adds DequantizeLinear of bytes that have the scale and zero point of a tensor."""
        return self.node("DequantizeLinear", [value, *self._qparams(tensor)])

    def dequantize_in(self, name: str, scale: np.float32) -> str:
        """Adds DequantizeLinear of a tensor as if its scale were another."""
        constant = self.constant(f"{name}/other_scale", scale)
        return self.node("DequantizeLinear", [name, constant, self._qparams(name)[1]])

    def write(
        self,
        operator: str,
        inputs: Sequence[str],
        tensor: str,
        /,
        *,
        clamp: tuple[int, int] = (QMIN, QMAX),
        **attributes: Any,
    ) -> None:
        """Adds a node whose result becomes a tensor, by way of `quantize` if it is quantized."""
        if self.program.tensor(tensor).dtype is DType.UINT8:
            self.quantize(self.node(operator, inputs, **attributes), tensor, *clamp)
        else:
            self.node(operator, inputs, tensor, **attributes)

    def quantize(self, value: str, tensor: str, qmin: int = QMIN, qmax: int = QMAX) -> None:
        """Quantizes a real value into a tensor, clamped to [qmin, qmax].

        QuantizeLinear saturates to 0 and 255, so that a ReLU with zero point 0 needs nothing more.
        Other bounds are a Clip of the quantized values: in front of QuantizeLinear it would keep
        runtimes from recognizing the operator as a quantized one.
        """
        inputs = [value, *self._qparams(tensor)]
        if (qmin, qmax) == (QMIN, QMAX):
            self.node("QuantizeLinear", inputs, tensor)
            return
        quantized = self.node("QuantizeLinear", inputs)
        low = self.constant(f"{tensor}/qmin", np.uint8(qmin))
        high = self.constant(f"{tensor}/qmax", np.uint8(qmax))
        self.node("Clip", [quantized, low, high], tensor)

    def layer_weight(self, step: Conv2d | Linear, *, transpose: bool = False) -> str:
        """Returns the real weight of a layer, from int8 with one scale for each output channel."""
        values = np.asarray(self.program.constants[step.weight])
        if transpose:
            values = np.ascontiguousarray(values.T)
        scales = np.asarray(self.program.constants[step.weight_scale])
        return self.dequantized_constant(step.weight, values, scales, 1 if transpose else 0)

    def layer_bias(self, step: Conv2d | ConvTranspose2d | Linear) -> str:
        """Returns the real bias of a layer, from int32 with the scale of the accumulators."""
        weight_scale = np.asarray(self.program.constants[step.weight_scale], np.float32)
        scales = np.float32(self.scale_of(step.input)) * weight_scale
        values = np.asarray(self.program.constants[step.bias])
        return self.dequantized_constant(step.bias, values, scales, 0)

    def dequantized_constant(
        self, name: str, values: NDArray[Any], scales: NDArray[np.float32], axis: int
    ) -> str:
        """Returns the real values of an integer constant whose scales lie along an axis."""
        constants = [
            self.constant(name, values),
            self.constant(f"{name}/scale", scales),
            self.constant(f"{name}/zero_point", np.zeros(len(scales), values.dtype)),
        ]
        return self.node("DequantizeLinear", constants, axis=axis)

    def _qparams(self, tensor: str) -> list[str]:
        """Returns the names of scale and zero point, one pair for all nodes around a tensor."""
        if tensor not in self._qparam_names:
            zero_point = np.uint8(self.program.tensor(tensor).zero_point)
            self._qparam_names[tensor] = [
                self.constant(f"{tensor}/scale", np.float32(self.scale_of(tensor))),
                self.constant(f"{tensor}/zero_point", zero_point),
            ]
        return self._qparam_names[tensor]

    def scale_of(self, name: str) -> float:
        """Returns the scale of a quantized tensor."""
        scale = self.program.tensor(name).scale
        assert scale is not None, "verify lets no step read the scale of a float tensor"
        return scale

    def _value(self, name: str) -> ValueInfoProto:
        tensor = self.program.tensor(name)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(tensor.dtype.value))
        return helper.make_tensor_value_info(name, kind, _extents(tensor))


def _extents(tensor: TensorInfo) -> list[int | str]:
    """Names the extents that are not known: all batch sizes are one, others each their own."""
    names = ["batch", *(f"{tensor.name}_{axis}" for axis in range(1, len(tensor.shape)))]
    return [n if n is not None else names[axis] for axis, n in enumerate(tensor.shape)]
