"""What inspection finds."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass
from typing import Any

from smidgen.tensor_spec import TensorSpec


@dataclass(frozen=True, slots=True)
class Placement:
    """Whether a layer computes with integers, and why if not.

    Attributes:
        is_quantized: Whether it does, in a step of its own.
        reason: Stable word where it does not: FUSED or FOLDED into another layer, REMOVED or UNUSED
            where nothing of it is left, FLOAT, or UNSUPPORTED where it keeps the model from being
            converted.
        detail: The same in a few words for people; may be empty.
    """

    is_quantized: bool
    reason: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class LayerFacts:
    """One operation of a float model, or one step of an integer program.

    Attributes:
        name: Of the node in the imported graph, `v0`, `v1`, ...; of a step its output.
        op: The operator, for instance `conv2d`; of a step its type, for instance `Conv2d`.
        module_path: The module that it came from, for display; may be empty.
        dtype: Element type of what it gives.
        shape: Shape of what it gives; None for the batch size.
        parameter_count: Elements of its weights, or constants.
        parameter_bytes: Bytes of the same.
        multiplications: Multiply-accumulates for one sample.
        placement: How it is quantized; None where that takes torch, which is not installed.
        source: The line of the user's program, such as `net.py:12 in forward`; may be empty.
    """

    name: str
    op: str
    module_path: str
    dtype: str
    shape: tuple[int | None, ...]
    parameter_count: int
    parameter_bytes: int
    multiplications: int
    placement: Placement | None
    source: str = ""


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A model file.

    Attributes:
        format: pt2, onnx or artifact.
        sha256: Digest of the file in hex.
        size_bytes: Its size.
        inputs: The model's inputs.
        outputs: Its outputs.
        parameter_count: Elements of all weights, those that layers share once.
        parameter_bytes: Bytes of the same.
        layers: In the order in which they run.
        lineage: Where an artifact says that it comes from.
        preprocessing: How images become an artifact's input, as the fields of its JSON; None where
            it does not say.
        warnings: What deserves attention, for people.
    """

    format: str
    sha256: str
    size_bytes: int
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    parameter_count: int
    parameter_bytes: int
    layers: tuple[LayerFacts, ...]
    lineage: dict[str, str]
    preprocessing: dict[str, Any] | None = None
    warnings: tuple[str, ...] = ()

    @property
    def operators(self) -> dict[str, int]:
        """How many layers there are of each operator, the most first."""
        return dict(Counter(layer.op for layer in self.layers).most_common())

    @property
    def multiplications(self) -> int:
        """Multiply-accumulates for one sample."""
        return sum(layer.multiplications for layer in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """Returns the facts as plain values for JSON."""
        return {
            **asdict(self),
            "operators": self.operators,
            "multiplications": self.multiplications,
        }
