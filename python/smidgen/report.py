"""What quantization did to a model, node by node. Needs no torch."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smidgen.measured import LatencyReport, SensitivityReport


class EvaluationData(enum.StrEnum):
    """What a conversion was evaluated on.

    DATASET: all samples of a data set. HELD_OUT: those that its training held out, by which that
    chose its best epoch.
    """

    DATASET = "dataset"
    HELD_OUT = "held_out"


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
        weight_bits: Bits of a layer's weights in the artifact, 32, 8 or 4; 0 where there are none.
        activation: Name of the output in the calibration, which is that of the last node of the
            same step; empty where there is no step of its own.
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
    activation: str = ""


@dataclass(frozen=True, slots=True)
class Distance:
    """How far the values of two models are apart.

    Attributes:
        max_lsb: Largest difference in levels of the quantized tensor.
        differing: Values that are not equal.
        elements: Values compared.
    """

    max_lsb: int
    differing: int
    elements: int


@dataclass(frozen=True, slots=True)
class FakeQuantizedParity:
    """How close the engine is to the fake-quantized model, which training simulates it with.

    Attributes:
        sample_count: Samples compared.
        layers: All layers together, each given the engine's own inputs; at most 1 level apart.
        worst_layer: Node of the layer with the largest difference; empty if none differs.
        free_running: All layers together, each given what the layer before it gave.
        top1_agreement: Share of the samples of which both say the same class; None without classes.
    """

    sample_count: int
    layers: Distance
    worst_layer: str
    free_running: Distance
    top1_agreement: float | None = None


@dataclass(frozen=True, slots=True)
class FloatParity:
    """How close the engine is to the float model, on evaluation samples.

    Attributes:
        sample_count: Samples compared.
        top1_agreement: Share of the samples of which both say the same class; None without classes.
        output_sqnr_db: Signal to quantization noise ratio of the first output in dB; None where
            either is zero.
    """

    sample_count: int
    top1_agreement: float | None = None
    output_sqnr_db: float | None = None


@dataclass(frozen=True, slots=True)
class ParityCertificate:
    """Proof that the engine equals the reference interpreter.

    Attributes:
        sample_count: Samples compared.
        max_difference: Largest absolute difference of any output element; 0.
        isas: Instruction sets compared.
        differing_bytes: Bytes of all tensors at all instruction sets that differ; 0.
        compared_bytes: Bytes of all tensors at all instruction sets.
        fake_quantized: How close the engine is to what training simulates; None where nothing does,
            as with dynamic activations or for an imported program.
        float_model: How close the engine is to the float model; None without evaluation data.
    """

    sample_count: int
    max_difference: int
    isas: tuple[str, ...]
    differing_bytes: int = 0
    compared_bytes: int = 0
    fake_quantized: FakeQuantizedParity | None = None
    float_model: FloatParity | None = None

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> ParityCertificate:
        """Rebuilds what asdict returned, also after a trip through JSON."""
        fields = {**document, "isas": tuple(document["isas"])}
        fake, float_model = fields.get("fake_quantized"), fields.get("float_model")
        if fake is not None:
            distances = {name: Distance(**fake[name]) for name in ("layers", "free_running")}
            fields["fake_quantized"] = FakeQuantizedParity(**{**fake, **distances})
        if float_model is not None:
            fields["float_model"] = FloatParity(**float_model)
        return ParityCertificate(**fields)


@dataclass(frozen=True, slots=True)
class GateReport:
    """The limits that a conversion was held to, and what was found.

    Attributes:
        sample_count: Evaluation samples measured on.
        max_drop: Most accuracy that might be lost, 0 to 1; None without this limit.
        drop: Accuracy that is lost against the float model, below 0 for a gain; without class
            labels the share of the samples on which the two differ. None without classes.
        min_sqnr_db: Least signal to quantization noise ratio of the first output in dB; None
            without this limit.
        sqnr_db: That ratio; None where it is not finite.
    """

    sample_count: int
    max_drop: float | None = None
    drop: float | None = None
    min_sqnr_db: float | None = None
    sqnr_db: float | None = None


@dataclass(frozen=True, slots=True)
class PrecisionChange:
    """A layer that a search gave more bits.

    Attributes:
        node: Name of its node in the fused graph.
        module_path: Path in the user's model, for display; may be empty.
        before: What it had before the search: int4 or int8.
        after: What it has: int8 or float.
        output_sqnr_db: What made it a candidate: the ratio of signal to quantization noise of the
            first output in dB when this layer alone was quantized; None without noise.
        output_kl: The divergence of the classes' probabilities then, in nats; None without classes.
    """

    node: str
    module_path: str
    before: str
    after: str
    output_sqnr_db: float | None
    output_kl: float | None


@dataclass(frozen=True, slots=True)
class PrecisionTrial:
    """One program that a search measured.

    Attributes:
        reason: Why: `start`, `lift` or `give back NODE`.
        nodes: The layers with more bits than at the start.
        drop: Accuracy lost against the float model; without class labels the share of the samples
            on which the two differ. None without classes.
        sqnr_db: Signal to quantization noise ratio of the first output in dB; None where it is not
            finite.
        holds: Whether the limits hold.
    """

    reason: str
    nodes: tuple[str, ...]
    drop: float | None
    sqnr_db: float | None
    holds: bool


@dataclass(frozen=True, slots=True)
class PrecisionSearch:
    """How the precision of layers was found.

    Attributes:
        changes: The layers that got more bits.
        trials: All programs measured, in order.
        is_complete: Whether the search ended by itself; False where its budget ended it.
    """

    changes: tuple[PrecisionChange, ...]
    trials: tuple[PrecisionTrial, ...]
    is_complete: bool

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> PrecisionSearch:
        """Rebuilds what asdict returned, also after a trip through JSON."""
        return PrecisionSearch(
            tuple(PrecisionChange(**change) for change in document["changes"]),
            tuple(
                PrecisionTrial(**{**trial, "nodes": tuple(trial["nodes"])})
                for trial in document["trials"]
            ),
            document["is_complete"],
        )


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
        gate: The limits that it passed; None where it had none.
        sensitivity: What each layer alone costs; None if it was not measured.
        latency: How long both models take here; None if it was not measured.
        search: How the precision of layers was found; None where it was given.
        evaluation: What gate, accuracies and sensitivity were measured on; None for nothing.
    """

    nodes: tuple[NodeReport, ...]
    float_bytes: int
    artifact_bytes: int = 0
    parity: ParityCertificate | None = None
    float_accuracy: float | None = None
    quantized_accuracy: float | None = None
    gate: GateReport | None = None
    sensitivity: SensitivityReport | None = None
    latency: LatencyReport | None = None
    search: PrecisionSearch | None = None
    evaluation: EvaluationData | None = None

    def to_dict(self) -> dict[str, Any]:
        """Returns the report as plain values for JSON."""
        return asdict(self)

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> QuantizationReport:
        """Rebuilds what to_dict returned, also after a trip through JSON."""
        fields = dict(document)
        fields["nodes"] = tuple(NodeReport(**node) for node in fields["nodes"])
        if fields["parity"] is not None:
            fields["parity"] = ParityCertificate.from_dict(fields["parity"])
        if fields.get("gate") is not None:
            fields["gate"] = GateReport(**fields["gate"])
        if fields.get("sensitivity") is not None:
            fields["sensitivity"] = SensitivityReport.from_dict(fields["sensitivity"])
        if fields.get("latency") is not None:
            fields["latency"] = LatencyReport.from_dict(fields["latency"])
        if fields.get("search") is not None:
            fields["search"] = PrecisionSearch.from_dict(fields["search"])
        if fields.get("evaluation") is not None:
            fields["evaluation"] = EvaluationData(fields["evaluation"])
        return QuantizationReport(**fields)
