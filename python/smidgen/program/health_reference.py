"""What a program remembers of its calibration, for production's values to be compared with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

MOST_WATCHED = 9
"""The inputs and eight layers."""

MOST_CELLS = 64
TOTAL = 1000
LONGEST_LABEL = 64
_EXPONENTS = range(-149, 128)
_MOST_CELL_NUMBER = 1 << 31
_MOST_NAMES = 1 << 13

Bounds = tuple[float, float]


@dataclass(frozen=True, slots=True)
class WatchedTensor:
    """One quantized tensor and how its values were distributed in calibration.

    Cells lie on the grid of powers of two of `smidgen.histogram`, over the range that the tensor's
    integers can hold; what lies beyond is in the first and in the last count.

    Attributes:
        tensor: Its name in the program.
        label: What people and metrics call it, 1 to 64 printable characters.
        exponent: Base 2 logarithm of a cell's width.
        first: Number of the first cell, which begins at first * 2**exponent.
        counts: Of 1,000 values: how many lie below the first cell, in each of 1 to 64 cells, and
            above the last one.
        clipped: The share of all values of calibration outside the range, 0 to 1.
    """

    tensor: str
    label: str
    exponent: int
    first: int
    counts: tuple[int, ...]
    clipped: float

    def __post_init__(self) -> None:
        _expect(len(self.tensor) > 0, "a watched tensor has no name")
        _expect(
            0 < len(self.label) <= LONGEST_LABEL and self.label.isprintable(),
            f"a label has {len(self.label)} characters, expected 1 to {LONGEST_LABEL} printable",
        )
        _expect(self.exponent in _EXPONENTS, f"exponent is {self.exponent}")
        _expect(abs(self.first) < _MOST_CELL_NUMBER, f"first is {self.first}")
        cells = len(self.counts) - 2
        _expect(1 <= cells <= MOST_CELLS, f"there are {cells} cells, expected 1 to {MOST_CELLS}")
        _expect(
            min(self.counts) >= 0 and sum(self.counts) == TOTAL,
            f"counts are {min(self.counts)} or more and {sum(self.counts)} together, expected no "
            f"negative ones and {TOTAL}",
        )
        _expect(0.0 <= self.clipped <= 1.0, f"clipped is {self.clipped}, expected 0 to 1")

    @property
    def cells(self) -> int:
        """Cells between the two outer counts."""
        return len(self.counts) - 2

    def to_document(self) -> dict[str, Any]:
        """Returns the plain values that from_document reads."""
        return {**asdict(self), "counts": list(self.counts)}

    @staticmethod
    def from_document(document: object) -> WatchedTensor:
        """Reads what to_document returned.

        Raises:
            ValueError: the document has another form, or a value is out of its range.
        """
        fields = _fields(document, ("tensor", "label", "exponent", "first", "counts", "clipped"))
        return WatchedTensor(
            tensor=_text(fields["tensor"]),
            label=_text(fields["label"]),
            exponent=_integer(fields["exponent"]),
            first=_integer(fields["first"]),
            counts=tuple(_integer(count) for count in _list(fields["counts"], MOST_CELLS + 2)),
            clipped=_number(fields["clipped"]),
        )


@dataclass(frozen=True, slots=True)
class HealthReference:
    """What health is measured against.

    Attributes:
        watched: At most nine tensors, those of inputs first.
        bounds: Activations that were fused into steps, with the tensors that they bound: what a
            clamp of a step alone does not tell from the end of its range.
    """

    watched: tuple[WatchedTensor, ...]
    bounds: tuple[tuple[Bounds, tuple[str, ...]], ...] = ()

    def __post_init__(self) -> None:
        _expect(
            1 <= len(self.watched) <= MOST_WATCHED,
            f"{len(self.watched)} tensors are watched, expected 1 to {MOST_WATCHED}",
        )
        for name in ("tensor", "label"):
            found = {getattr(one, name) for one in self.watched}
            _expect(len(found) == len(self.watched), f"two watched tensors share one {name}")
        names = [name for _, tensors in self.bounds for name in tensors]
        _expect(len(names) <= _MOST_NAMES, f"{len(names)} tensors have bounds")
        _expect(len(set(names)) == len(names), "a tensor has bounds twice")
        for (low, high), _ in self.bounds:
            _expect(low <= high, f"bounds are {low} and {high}, expected ascending ones")

    @property
    def tensors(self) -> tuple[str, ...]:
        """The names of the watched tensors."""
        return tuple(one.tensor for one in self.watched)

    @property
    def named(self) -> frozenset[str]:
        """All tensors that it names."""
        return frozenset((*self.tensors, *self.bounds_by_tensor()))

    def bounds_by_tensor(self) -> dict[str, Bounds]:
        """Returns the bounds of each tensor that has some."""
        return {name: bounds for bounds, tensors in self.bounds for name in tensors}

    def to_document(self) -> dict[str, Any]:
        """Returns the plain values that from_document reads."""
        return {
            "watched": [one.to_document() for one in self.watched],
            "bounds": [
                {
                    "low": low if math.isfinite(low) else None,
                    "high": high if math.isfinite(high) else None,
                    "tensors": list(tensors),
                }
                for (low, high), tensors in self.bounds
            ],
        }

    @staticmethod
    def from_document(document: object) -> HealthReference:
        """Reads what to_document returned.

        Raises:
            ValueError: the document has another form, or a value is out of its range.
        """
        fields = _fields(document, ("watched", "bounds"))
        return HealthReference(
            tuple(
                WatchedTensor.from_document(entry)
                for entry in _list(fields["watched"], MOST_WATCHED)
            ),
            tuple(_bounded(entry) for entry in _list(fields["bounds"], _MOST_NAMES)),
        )


def _bounded(document: object) -> tuple[Bounds, tuple[str, ...]]:
    fields = _fields(document, ("low", "high", "tensors"))
    low, high = fields["low"], fields["high"]
    bounds = (
        -math.inf if low is None else _number(low),
        math.inf if high is None else _number(high),
    )
    return bounds, tuple(_text(name) for name in _list(fields["tensors"], _MOST_NAMES))


def _fields(document: object, keys: tuple[str, ...]) -> Mapping[str, Any]:
    _expect(
        isinstance(document, dict) and document.keys() == set(keys),
        f"a part is no object with {', '.join(keys)} alone",
    )
    assert isinstance(document, dict)
    return document


def _list(value: object, most: int) -> Sequence[object]:
    _expect(isinstance(value, list) and len(value) <= most, f"a list is none of at most {most}")
    assert isinstance(value, list)
    return value


def _text(value: object) -> str:
    _expect(isinstance(value, str), f"found {value!r:.40}, expected text")
    assert isinstance(value, str)
    return value


def _integer(value: object) -> int:
    # bool is an int in Python, and a JSON true must not pass for 1.
    _expect(
        isinstance(value, int) and not isinstance(value, bool) and abs(value) < _MOST_CELL_NUMBER,
        f"found {value!r:.40}, expected an int32",
    )
    assert isinstance(value, int)
    return value


def _number(value: object) -> float:
    """Returns a finite number; Python's integers have any size, and the largest fit no float."""
    if not isinstance(value, float):
        value = float(_integer(value))
    _expect(math.isfinite(value), f"found {value}, expected a finite number")
    return value


def _expect(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
