"""Reads a quantized ONNX model into a program, without running anything of it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray
from onnx import TensorProto

from smidgen.formats.limits import DEFAULT_LIMITS, Limits
from smidgen.formats.onnx_import.document import OnnxDocument, parse_document
from smidgen.formats.onnx_import.quantized.conversion import write_program
from smidgen.formats.onnx_import.quantized.model import QuantizedModel
from smidgen.formats.onnx_import.quantized.rules import QuantizedRules
from smidgen.formats.onnx_import.reader import QUANTIZED_OUTPUTS, ModelReader, mapped, plain_weight
from smidgen.formats.onnx_import.reasons import OnnxReason
from smidgen.formats.refusal import refusal
from smidgen.graph.arguments import Weight
from smidgen.program import Program

_OWN_PRODUCER = "smidgen"
_CONSTANTS_FOR_EACH_BYTE = 4  # an element of one byte may be turned, moved and made a float
_LEAST_BUDGET = 1 << 20
_INTEGERS = ("int8", "uint8", "int32")
_KNOWN_TYPES: Mapping[str, int] = {name: number for name, number in TensorProto.DataType.items()}
_NARROW_TYPES: Mapping[int, str] = {
    number: name
    for name, number in _KNOWN_TYPES.items()
    if name.startswith(("FLOAT4", "FLOAT8", "INT2", "INT4", "UINT2", "UINT4", "INT16", "UINT16"))
}


def read_quantized_onnx(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> Program:
    """Reads a quantized ONNX file into a program with the quantization that the file states.

    What stands between DequantizeLinear and QuantizeLinear becomes integer steps where the engine
    has them, and float steps elsewhere. Nothing is calibrated. See read_onnx for what else holds.

    Args:
        path: The file.
        limits: Caps on what it may hold.

    Raises:
        InvalidModelError: With an ONNX_ reason, ONNX_UNSUPPORTED_QUANTIZATION among them: the file
            is not acceptable.
        UnsupportedOperatorError: The graph has operators that are not supported; names all.
    """
    return write_program(read_quantized_model(path, limits=limits))


def read_quantized_model(path: Path, *, limits: Limits = DEFAULT_LIMITS) -> QuantizedModel:
    """Reads a quantized ONNX file into its operations and the integers of its weights.

    Raises:
        InvalidModelError: With an ONNX_ reason: the file is not acceptable.
        UnsupportedOperatorError: The graph has operators that are not supported; names all.
    """
    data = mapped(path, limits)
    document = parse_document(data, limits)
    _check_types(document)
    is_own = document.producer == _OWN_PRODUCER
    most = _LEAST_BUDGET + _CONSTANTS_FOR_EACH_BYTE * len(data)
    rules = QuantizedRules(is_own=is_own, most_elements=most)
    reader = ModelReader(document, data, limits, rules.table, _as_weight, stated=QUANTIZED_OUTPUTS)
    exported = reader.read()
    return QuantizedModel(exported, dict(rules.constants), frozenset(rules.dynamic), is_own)


def _as_weight(name: str, array: NDArray[Any]) -> Weight:
    """Keeps the integers that may be dequantized as they are."""
    if array.dtype.name in _INTEGERS:
        return Weight(name, array.dtype.name, array.shape, array=array)
    return plain_weight(name, array)


def _check_types(document: OnnxDocument) -> None:
    for name, record in document.initializers.items():
        found = _NARROW_TYPES.get(record.header.data_type)
        if found is not None:
            raise refusal(
                OnnxReason.UNSUPPORTED_QUANTIZATION,
                f"the tensor {name[:80]!r} has the element type {found}, expected int8 or uint8.",
            )
