"""Name, type and shape of a model's input or output. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One input or output.

    Attributes:
        name: Unique among the inputs or among the outputs.
        dtype: Element type by its numpy name: float32, uint8, int8, int32, int64 or bool.
        shape: Extents, outermost first; None where the extent may differ from run to run.
        index_count: Of integers that select rows of a table: how many rows there are. None where
            any value of the type may be.
    """

    name: str
    dtype: str
    shape: tuple[int | None, ...]
    index_count: int | None = None

    def accepts_shape(self, shape: tuple[int, ...]) -> bool:
        """Tells whether a shape fits: same rank, same fixed extents, nothing empty."""
        if len(shape) != len(self.shape):
            return False
        for found, expected in zip(shape, self.shape, strict=True):  # a generator costs more
            if found < 1 or (expected is not None and found != expected):
                return False
        return True

    def describe_shape(self) -> str:
        """Returns the shape for people, with ? for extents that may differ: `[?, 1, 8, 8]`."""
        return "[" + ", ".join("?" if n is None else str(n) for n in self.shape) + "]"
