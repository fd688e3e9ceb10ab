"""Makes values in bytes: what QuantizeLinear gives, the same bytes rescaled, and tables of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from smidgen.formats.onnx_import.call import Call, Result
from smidgen.formats.onnx_import.quantized.operands import INT8_OFFSET, QuantizedValue
from smidgen.graph import operations as ops
from smidgen.graph.arguments import Activation, Constant, UnsupportedCase
from smidgen.graph.exported import ExportedNode
from smidgen.graph.lowered import Computed
from smidgen.qparams import QParams


def quantized(call: Call, value: Activation, qparams: QParams, offset: int) -> QuantizedValue:
    """Adds the operation of QuantizeLinear and returns its bytes."""
    operation = ops.Quantized(qparams.scale, qparams.zero_point)
    (real,) = call.assembly.apply(call.origin, Computed((operation,), (value,)))
    assert isinstance(real, Activation)
    return QuantizedValue(real, qparams, offset)


def with_scale(call: Call, value: QuantizedValue, qparams: QParams) -> QuantizedValue:
    """Returns the same bytes with another scale, as a table of nothing where it is another."""
    if qparams == value.qparams:
        return value
    table, source = np.arange(256, dtype=np.uint8), value.real
    made_by = maker_of(call, source)
    if made_by is not None and isinstance(made_by.operation, ops.Tabulated):
        table = call.assembly.constants[made_by.operation.table].astype(np.uint8)
        source = replace(source, number=made_by.inputs[0])
    return QuantizedValue(_tabulated(call, source, table, qparams), qparams, value.offset)


def looked_up(call: Call, value: QuantizedValue) -> QuantizedValue:
    """Returns entries of a table; their scale is that of the DequantizeLinear that follows."""
    table = call.array(0)
    if table.shape != (256,):
        raise UnsupportedCase(f"a table of the shape {list(table.shape)} read by bytes")
    offset = INT8_OFFSET if table.dtype == np.int8 else 0
    shifted = (table.astype(np.int64) + offset).astype(np.uint8)
    unit = QParams(1.0, offset)
    return QuantizedValue(_tabulated(call, value.real, shifted, unit), unit, offset)


def _tabulated(
    call: Call, source: Activation, table: NDArray[np.uint8], qparams: QParams
) -> Activation:
    name = call.assembly.as_weight(Constant(table)).name
    operation = ops.Tabulated(name, qparams.scale, qparams.zero_point)
    (real,) = call.assembly.apply(call.origin, Computed((operation,), (source,)))
    assert isinstance(real, Activation)
    return real


def maker_of(call: Call, value: Activation) -> ExportedNode | None:
    """Returns the node that made a value, if it is among the last ones."""
    recent = reversed(call.assembly.nodes[-8:])
    return next((node for node in recent if node.output == value.number), None)


def source_of(call: Call, value: Activation) -> Activation:
    """Returns what QuantizeLinear read where that has just made the value, else the value."""
    node = maker_of(call, value)
    if node is None or not isinstance(node.operation, ops.Quantized):
        return value
    return replace(value, number=node.inputs[0])


def wrapped(value: QuantizedValue, result: Result) -> Result:
    """Returns moved real values as bytes with the same parameters."""
    return replace(value, real=result) if isinstance(result, Activation) else result
