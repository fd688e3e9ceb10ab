"""What was found of requests: sums, so that those of several times and processes can be added."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.health.drift import jensen_shannon
from smidgen.program import WatchedTensor


@dataclass(frozen=True, slots=True)
class TensorFindings:
    """The values of one watched tensor.

    Attributes:
        watched: The tensor, and how it was in calibration.
        values: How many were counted.
        clipped: How many of them lie outside the range of the tensor's integers.
        counts: How many lie below, in and above the cells of `watched`.
    """

    watched: WatchedTensor
    values: int
    clipped: int
    counts: tuple[int, ...]

    @property
    def clipped_ratio(self) -> float:
        """The share of values that are clipped."""
        return self.clipped / self.values

    @property
    def drift(self) -> float:
        """How far the values are from those of calibration, 0 to 1; see jensen_shannon."""
        return jensen_shannon(self.watched.counts, self.counts)

    def joined(self, other: TensorFindings) -> TensorFindings:
        """Returns both together."""
        return TensorFindings(
            self.watched,
            self.values + other.values,
            self.clipped + other.clipped,
            tuple(a + b for a, b in zip(self.counts, other.counts, strict=True)),
        )

    def to_document(self) -> dict[str, Any]:
        """Returns the plain values that from_document reads."""
        return {
            "watched": self.watched.to_document(),
            "values": self.values,
            "clipped": self.clipped,
            "counts": list(self.counts),
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> TensorFindings:
        """Reads what to_document returned."""
        watched = WatchedTensor.from_document(document["watched"])
        counts = tuple(document["counts"])
        return TensorFindings(watched, document["values"], document["clipped"], counts)


@dataclass(frozen=True, slots=True)
class Findings:
    """What was found of some requests to a version.

    Attributes:
        sampled: How many requests.
        compared: Of how many the answer was compared with the twin's.
        disagreed: How many of these answers say something else.
        tensors: The watched tensors.
    """

    sampled: int
    compared: int
    disagreed: int
    tensors: tuple[TensorFindings, ...]

    def joined(self, other: Findings) -> Findings:
        """Returns both together; `other` alone where the two are not of the same version."""
        if [one.watched for one in self.tensors] != [one.watched for one in other.tensors]:
            return other
        return Findings(
            self.sampled + other.sampled,
            self.compared + other.compared,
            self.disagreed + other.disagreed,
            tuple(a.joined(b) for a, b in zip(self.tensors, other.tensors, strict=True)),
        )

    def to_document(self) -> dict[str, Any]:
        """Returns the plain values that from_document reads."""
        return {
            "sampled": self.sampled,
            "compared": self.compared,
            "disagreed": self.disagreed,
            "tensors": [one.to_document() for one in self.tensors],
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> Findings:
        """Reads what to_document returned."""
        return Findings(
            document["sampled"],
            document["compared"],
            document["disagreed"],
            tuple(TensorFindings.from_document(one) for one in document["tensors"]),
        )
