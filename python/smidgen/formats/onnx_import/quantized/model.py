"""A float graph that states its own quantization."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smidgen.formats.onnx_import.quantized.operands import QuantizedConstant
from smidgen.graph.exported import ExportedModel


@dataclass(frozen=True, slots=True)
class QuantizedModel:
    """A model whose operations work on real values, some of which bytes hold exactly.

    Attributes:
        exported: The operations; Quantized and Tabulated ones say what bytes hold.
        constants: The integers of its weights, by their names, where the file has integers.
        dynamic: Names of the weights of layers that scale rows while they run.
        is_own: Whether this library exported it.
    """

    exported: ExportedModel
    constants: Mapping[str, QuantizedConstant]
    dynamic: frozenset[str]
    is_own: bool
