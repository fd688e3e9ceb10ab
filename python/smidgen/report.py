"""What quantization did to a model, node by node. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class NodeReport:
    """How one node of the imported graph is quantized, or why it is not.

    Attributes:
        node: Name in the imported graph.
        module_path: Path in the user's model, for display; may be empty.
        op: Operator, for instance `conv2d`.
        is_quantized: Whether the node runs in integers as a step of its own.
        reason: Stable word where it does not: FUSED, FOLDED, REMOVED or UNUSED
            where there is no step, FLOAT where the step works on floats; empty for quantized nodes.
        output_scale: Scale of the output; 0 where there is none.
        output_zero_point: Zero point of the output.
        float_bytes: Bytes of the node's parameters in the float model.
        quantized_bytes: Bytes of the node's parameters in the program.
        sqnr_db: Signal to quantization noise ratio of the output in dB; None if not measured.
        weight_bits: Bits of a layer's weights in the artifact, 8 or 4; 0 where there are none.
    """

    node: str
    op: str
    is_quantized: bool
    module_path: str = ""
    reason: str = ""
    output_scale: float = 0.0
    output_zero_point: int = 0
    float_bytes: int = 0
    quantized_bytes: int = 0
    sqnr_db: float | None = None
    weight_bits: int = 0


@dataclass(frozen=True, slots=True)
class ParityCertificate:
    """Proof that the engine equals the reference interpreter.

    Attributes:
        sample_count: Samples compared.
        max_difference: Largest absolute difference of any output element; 0.
        isas: Instruction sets compared.
    """

    sample_count: int
    max_difference: int
    isas: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class QuantizationReport:
    """What was quantized and what it brought.

    Attributes:
        nodes: One entry for each node of the float model in execution order.
        float_bytes: Bytes of the float model's parameters.
        artifact_bytes: Bytes of the artifact file; 0 in a plan.
        parity: Equality of engine and reference; None in a plan.
        float_accuracy: Accuracy of the float model, 0 to 1; None without evaluation data.
        quantized_accuracy: Accuracy of the converted model, 0 to 1; None without evaluation data.
    """

    nodes: tuple[NodeReport, ...]
    float_bytes: int
    artifact_bytes: int = 0
    parity: ParityCertificate | None = None
    float_accuracy: float | None = None
    quantized_accuracy: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> QuantizationReport:
        """Rebuilds what to_dict returned, also after a trip through JSON."""
        fields = dict(document)
        fields["nodes"] = tuple(NodeReport(**node) for node in fields["nodes"])
        if fields["parity"] is not None:
            parity = fields["parity"]
            fields["parity"] = ParityCertificate(**{**parity, "isas": tuple(parity["isas"])})
        return QuantizationReport(**fields)
