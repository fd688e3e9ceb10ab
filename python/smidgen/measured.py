"""What was measured of a model layer by layer, because it was asked for. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Sensitivity:
    """What the first output loses when one layer alone is quantized.

    Attributes:
        output_sqnr_db: Signal to quantization noise ratio of the output in dB; None without noise.
        output_kl: Mean over the samples of the Kullback-Leibler divergence of the classes'
            probabilities from those of the float model, in nats; None without classes.
    """

    output_sqnr_db: float | None
    output_kl: float | None


@dataclass(frozen=True, slots=True)
class LayerSensitivity:
    """The sensitivity of one layer, as a report has it.

    Attributes:
        node: Name in the imported graph, or of an input.
        output_sqnr_db: See Sensitivity.
        output_kl: Likewise.
    """

    node: str
    output_sqnr_db: float | None = None
    output_kl: float | None = None


@dataclass(frozen=True, slots=True)
class SensitivityReport:
    """The layers that were quantized alone.

    Attributes:
        layers: Those that there was time for, the worst first.
        layer_count: All that could have been measured.
        sample_count: Samples that each was measured on.
        seconds: Time that it took.
    """

    layers: tuple[LayerSensitivity, ...]
    layer_count: int
    sample_count: int
    seconds: float

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> SensitivityReport:
        """Rebuilds what asdict returned, also after a trip through JSON."""
        layers = tuple(LayerSensitivity(**layer) for layer in document["layers"])
        return SensitivityReport(**{**document, "layers": layers})


@dataclass(frozen=True, slots=True)
class LayerLatency:
    """How long a step of the engine takes, and what it stands for in the float model.

    Attributes:
        node: Name in the imported graph.
        quantized_us: Least time of the engine's step; 0 where it needs none.
        float_us: Least time of `node` and `covers` together in the float model.
        covers: Further layers that the same step does.
    """

    node: str
    quantized_us: float
    float_us: float
    covers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class LatencyReport:
    """How long one call takes on the machine that converted the model.

    The float model is run by PyTorch in eager mode with batch norm folded into the layers.

    Attributes:
        quantized_us: Least time of a whole run of the engine.
        float_us: Least time of a whole run of the float model.
        conversions_us: Time of the engine's steps that only convert floats to integers or back.
        layers: In the order of the engine's steps, those that it needs no step for at the end.
        batch: Samples of a call.
        rounds: Runs that were measured of each.
        threads: Threads of both.
        isa: Instruction set of the engine.
        cpu: Name of the CPU; may be empty.
    """

    quantized_us: float
    float_us: float
    conversions_us: float
    layers: tuple[LayerLatency, ...]
    batch: int
    rounds: int
    threads: int
    isa: str
    cpu: str = ""

    @staticmethod
    def from_dict(document: Mapping[str, Any]) -> LatencyReport:
        """Rebuilds what asdict returned, also after a trip through JSON."""
        layers = tuple(
            LayerLatency(**{**layer, "covers": tuple(layer["covers"])})
            for layer in document["layers"]
        )
        return LatencyReport(**{**document, "layers": layers})
