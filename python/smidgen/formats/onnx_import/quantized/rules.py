"""What operators mean in a quantized model: those of floats on real values, and those of bytes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from smidgen.formats.onnx_import.call import Call, Input, Result, Rule, plain
from smidgen.formats.onnx_import.quantized import dynamic
from smidgen.formats.onnx_import.quantized.constants import (
    INTEGER_TYPES,
    bias_of,
    dequantized,
    moved_elements,
    quantized_constant,
    scales_of_rows,
)
from smidgen.formats.onnx_import.quantized.operands import (
    Index,
    Integers,
    QuantizedConstant,
    QuantizedValue,
    Rows,
)
from smidgen.formats.onnx_import.quantized.parameters import parameters_of, qparams_of, unsupported
from smidgen.formats.onnx_import.quantized.values import (
    looked_up,
    quantized,
    source_of,
    with_scale,
    wrapped,
)
from smidgen.formats.onnx_import.rules import RULES, layers, quantization
from smidgen.graph import operations as ops
from smidgen.graph.arguments import Activation, Constant, UnsupportedCase, Weight
from smidgen.graph.lowered import Computed

_MOVING = (
    "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape", "Slice",
    "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze",
)  # fmt: skip
"""Operators on bytes that move them; the greatest byte is that of the greatest value."""


class QuantizedRules:
    """The rules of one model, which keep the integers of the constants that they dequantize.

    Attributes:
        constants: The integers of real constants, by the name of the weight that they became.
        dynamic: Names of the weights of layers that scale rows while they run.
        table: The rule of each operator by its name.

    Args:
        is_own: Whether this library exported the model.
        most_elements: How many elements of constants may be made in all.
    """

    def __init__(self, *, is_own: bool, most_elements: int) -> None:
        self._elements_left = most_elements
        self.constants: dict[str, QuantizedConstant] = {}
        self.dynamic: set[str] = set()
        self._weights: dict[int, tuple[QuantizedConstant, Weight]] = {}
        own: dict[str, Rule] = {
            "Cast": self._cast,
            "Clip": self._clip,
            "Concat": self._concat,
            "Constant": self._constant,
            "DequantizeLinear": self._dequantize,
            "Mul": self._multiply,
            "QLinearConv": self._convolution,
            "QLinearMatMul": self._product,
            "QuantizeLinear": self._quantize,
            "Shape": self._shape,
        }
        if is_own:
            own |= {"Add": self._add, "MatMulInteger": self._row_sums, "Sub": self._subtract}
        self._is_own = is_own
        on_reals = {
            name: self._on_reals(rule)
            for name, rule in RULES.items()
            if rule is not quantization.refused
        }
        moving = {name: self._moving(RULES[name]) for name in _MOVING}
        self.table: Mapping[str, Rule] = on_reals | moving | {"Gather": self._gather} | own

    def _on_reals(self, rule: Rule) -> Rule:
        return lambda call: rule(self._with_reals(call))

    def _with_reals(self, call: Call) -> Call:
        return replace(call, inputs=tuple(self._real(call, value) for value in call.inputs))

    def _real(self, call: Call, value: Input | None) -> Input | None:
        """Returns an operand as rules of floats know it."""
        if isinstance(value, QuantizedConstant):
            return self._weight(call, value)
        return plain(value) if isinstance(value, Weight | Constant) else value

    def _charge(self, array: NDArray[Any]) -> None:
        """Counts the elements of a constant before they are made."""
        self._elements_left -= array.size
        if self._elements_left < 0:
            raise UnsupportedCase("many times more constants than the file has")

    def _weight(self, call: Call, value: QuantizedConstant) -> Weight:
        if id(value) not in self._weights:
            self._charge(value.values)
            reals = value.reals()
            reals.flags.writeable = False
            weight = call.assembly.as_weight(Constant(reals))
            self._weights[id(value)] = (value, weight)
            self.constants[weight.name] = value
        return self._weights[id(value)][1]

    def _quantize(self, call: Call) -> Sequence[Result]:
        """QuantizeLinear: of a computed value, or of a float weight that the file leaves so."""
        value = self._real(call, call.operand(0))
        parameters = parameters_of(call, "uint8")
        if isinstance(value, Weight | Constant):
            self._charge(value.array)
            return [quantized_constant(call, value, parameters)]
        if not isinstance(value, Activation):
            raise UnsupportedCase("its use on other than floats")
        qparams, offset = qparams_of(call, parameters)
        return [quantized(call, value, qparams, offset)]

    def _dequantize(self, call: Call) -> Sequence[Result]:
        value = call.operand(0)
        if isinstance(value, QuantizedValue):
            parameters = parameters_of(call, "int8" if value.offset else "uint8")
            qparams, offset = qparams_of(call, parameters)
            if offset != value.offset:
                raise unsupported(call, "states another element type than QuantizeLinear did")
            return [with_scale(call, value, qparams).real]
        if isinstance(value, Rows):
            parameters = parameters_of(call, value.table.dtype.name)
            return self._embedding(call, value, parameters.along(0, 2))
        if isinstance(value, Weight | Constant | Integers):
            array = value.array if isinstance(value, Integers) else call.array(0)
            return [dequantized(call, array, parameters_of(call, array.dtype.name))]
        raise UnsupportedCase("its use on what QuantizeLinear did not give")

    def _clip(self, call: Call) -> Sequence[Result]:
        """Clip; of bytes it narrows what QuantizeLinear gives."""
        value = call.operand(0)
        if not isinstance(value, QuantizedValue):
            return RULES["Clip"](self._with_reals(call))
        low, high = (
            int(call.number_in(index)) + value.offset if call.has(index) else default
            for index, default in ((1, 0), (2, 255))
        )
        if not 0 <= low <= high <= 255:
            raise unsupported(call, f"clips bytes to [{low}, {high}]")
        bounds = (value.qparams.scale, value.qparams.zero_point, low, high)
        source = source_of(call, value.real)
        operation = ops.Quantized(*bounds)
        (real,) = call.assembly.apply(call.origin, Computed((operation,), (source,)))
        assert isinstance(real, Activation)
        return [replace(value, real=real)]

    def _moving(self, rule: Rule) -> Rule:
        def moved(call: Call) -> Sequence[Result]:
            value = call.operand(0)
            if isinstance(value, QuantizedValue):
                inputs = (value.real, *(self._real(call, other) for other in call.inputs[1:]))
                results = rule(replace(call, inputs=inputs))
                return [wrapped(value, result) for result in results]
            if isinstance(value, QuantizedConstant | Integers | Weight | Constant):
                constant = self._moved_constant(call, value)
                if constant is not None:
                    return [constant]
            return rule(self._with_reals(call))

        return moved

    def _moved_constant(
        self, call: Call, value: QuantizedConstant | Integers | Weight | Constant
    ) -> QuantizedConstant | Integers | None:
        """Moves integers and keeps them as such; None where that is not needed or not known."""
        if not isinstance(value, QuantizedConstant):
            if value.array.dtype.name not in ("int8", "uint8"):
                return None
            self._charge(value.array)
            integers = value.array if isinstance(value, Integers) else call.array(0)
            array = moved_elements(call, integers)
            return None if array is None else Integers(array)
        self._charge(value.values)
        parts = [
            moved_elements(call, np.broadcast_to(part, value.values.shape))
            for part in (value.values, value.scales, value.zero_points)
        ]
        values, scales, zero_points = parts
        if values is None or scales is None or zero_points is None:
            return None
        if value.is_per_tensor:
            one = [1] * values.ndim
            scales, zero_points = value.scales.reshape(one), value.zero_points.reshape(one)
        return QuantizedConstant(values, scales, zero_points)

    def _concat(self, call: Call) -> Sequence[Result]:
        found = [value for value in call.inputs if isinstance(value, QuantizedValue)]
        if not found:
            return RULES["Concat"](self._with_reals(call))
        first = found[0]
        is_one = {(value.qparams, value.offset) for value in found} == {
            (first.qparams, first.offset)
        }
        if len(found) != len(call.inputs) or not is_one:
            raise UnsupportedCase("bytes of several scales")
        reals = tuple(value.real for value in found)
        results = RULES["Concat"](replace(call, inputs=reals))
        return [wrapped(first, result) for result in results]

    def _shape(self, call: Call) -> Sequence[Result]:
        value = call.operand(0)
        if isinstance(value, QuantizedValue):
            call = replace(call, inputs=(value.real,))
        return RULES["Shape"](self._with_reals(call))

    def _constant(self, call: Call) -> Sequence[Result]:
        """Constant, in integers where they may be dequantized."""
        value = call.tensor_attribute("value") if "value" in call.attributes else None
        if value is not None and value.dtype.name in INTEGER_TYPES:
            return [Constant(value)]
        return RULES["Constant"](call)

    def _cast(self, call: Call) -> Sequence[Result]:
        value, wanted = call.operand(0), call.integer("to")
        is_index = wanted in (TensorProto.INT32, TensorProto.INT64)
        if isinstance(value, QuantizedValue) and is_index and not value.offset:
            return [Index(value)]
        if isinstance(value, Rows) and wanted == TensorProto.FLOAT and value.table.dtype == np.int8:
            return [value]
        if isinstance(value, dynamic.RowSums) and wanted == TensorProto.FLOAT:
            return [value]
        rows = dynamic.row_bytes(call) if self._is_own else None
        if rows is not None:
            return [rows]
        return RULES["Cast"](self._with_reals(call))

    def _gather(self, call: Call) -> Sequence[Result]:
        """Gather; of a table by bytes it is any function of them."""
        data, index = call.operand(0), call.operand(1)
        axis = call.integer("axis", 0)
        is_integer = isinstance(data, Weight | Constant) and data.dtype in ("int8", "uint8")
        if is_integer and isinstance(index, Index) and axis == 0:
            return [looked_up(call, index.value)]
        if is_integer and isinstance(index, Activation) and axis == 0:
            table = call.array(0)
            if table.ndim == 2:
                return [Rows(table, index)]
        return self._moving(RULES["Gather"])(call)

    def _multiply(self, call: Call) -> Sequence[Result]:
        """Mul; of rows of integers by their scales it reads rows of reals."""
        sums = call.operand(0)
        if isinstance(sums, dynamic.RowSums):
            return [dynamic.scaled_sums(call, sums, call.operand(1))]
        pairs = (call.inputs, call.inputs[::-1])
        for rows, other in (pair for pair in pairs if len(pair) == 2):
            if not isinstance(rows, Rows):
                continue
            scales = scales_of_rows(call, rows, other)
            if scales is None:
                raise UnsupportedCase("rows of integers without a scale each")
            return self._embedding(call, rows, (scales, np.zeros(scales.shape, np.int64)))
        return RULES["Mul"](self._with_reals(call))

    def _embedding(
        self, call: Call, rows: Rows, parameters: tuple[NDArray[np.float32], NDArray[Any]]
    ) -> Sequence[Result]:
        weight = self._weight(call, QuantizedConstant(rows.table, *parameters))
        return call.aten("embedding.default", weight=weight, indices=rows.indices)

    def _row_sums(self, call: Call) -> Sequence[Result]:
        return [dynamic.row_sums(call)]

    def _subtract(self, call: Call) -> Sequence[Result]:
        """Sub; from sums of rows it takes what their zero points add."""
        sums = call.operand(0)
        if isinstance(sums, dynamic.RowSums):
            return [sums]
        return RULES["Sub"](self._with_reals(call))

    def _add(self, call: Call) -> Sequence[Result]:
        """Add; a bias to scaled sums of rows ends a layer."""
        sums = call.operand(0)
        if not isinstance(sums, dynamic.RowSums):
            return RULES["Add"](self._with_reals(call))
        bias = call.operand(1)
        if sums.scales is None or not dynamic.is_vector(bias, sums.weight.shape[1]):
            raise UnsupportedCase("sums of products without scales")
        assert isinstance(bias, Weight | Constant)
        weight = self._weight(call, dynamic.weight_of(sums))
        self.dynamic.add(weight.name)
        return call.aten(
            "linear.default",
            input=sums.source,
            weight=weight,
            bias=call.assembly.as_weight(bias),
        )

    def _convolution(self, call: Call) -> Sequence[Result]:
        """QLinearConv: a convolution between DequantizeLinear and QuantizeLinear."""
        value = self._operand(call, 0, (1, 2))
        weight = dequantized(call, call.array(3), parameters_of(call, "int8", (4, 5)), axis=0)
        inputs: list[Input | None] = [value.real, self._weight(call, weight)]
        if call.has(8):
            inputs.append(self._weight(call, bias_of(call, call.array(8), value.qparams, weight)))
        (result,) = layers.conv(replace(call, inputs=tuple(inputs)))
        return [self._result(call, result)]

    def _product(self, call: Call) -> Sequence[Result]:
        """QLinearMatMul."""
        lhs = self._operand(call, 0, (1, 2))
        rhs: Input
        if isinstance(call.operand(3), QuantizedValue):
            rhs = self._operand(call, 3, (4, 5)).real
        else:
            parameters = parameters_of(call, "int8", (4, 5))
            rhs = self._weight(call, dequantized(call, call.array(3), parameters, axis=-1))
        (result,) = layers.matmul(replace(call, inputs=(lhs.real, rhs)))
        return [self._result(call, result)]

    def _operand(self, call: Call, index: int, places: tuple[int, int]) -> QuantizedValue:
        value = call.operand(index)
        if not isinstance(value, QuantizedValue):
            raise UnsupportedCase("its use on what QuantizeLinear did not give")
        qparams, offset = qparams_of(call, parameters_of(call, "uint8", places))
        if offset != value.offset:
            raise unsupported(call, "states another element type than QuantizeLinear did")
        return with_scale(call, value, qparams)

    def _result(self, call: Call, result: Result) -> QuantizedValue:
        assert isinstance(result, Activation)
        qparams, offset = qparams_of(call, parameters_of(call, "uint8", (6, 7)))
        return quantized(call, result, qparams, offset)
