"""How long inferences take, learned from those that were computed."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

MOST_KNOWN = 4096
"""Versions, and versions with shapes, of which times are kept: clients choose the shapes."""
BRIEF_S = 250e-6
"""A computation shorter than this costs less than handing it over to a thread and back."""
_WEIGHT = 0.2
_RUNS_TO_BE_BRIEF = 3


class RunTimes:
    """Moving averages of the time of computations, for the event loop's thread alone."""

    def __init__(self) -> None:
        self._by_version = _Averages()
        self._by_shapes = _Averages()

    def record(self, sha256: str, shapes: Hashable, samples: int, seconds: float) -> None:
        """Takes in one computation of an artifact.

        Args:
            sha256: Digest of the artifact.
            shapes: Of its inputs.
            samples: Samples among these.
            seconds: How long it took.
        """
        self._by_version.add(sha256, seconds / samples)
        self._by_shapes.add((sha256, shapes), seconds)

    def estimate_s(self, sha256: str, samples: int) -> float:
        """Returns how long a computation may take, in seconds; 0 for an unknown artifact."""
        return self._by_version.of(sha256) * samples

    def is_brief(self, sha256: str, shapes: Hashable) -> bool:
        """Tells whether computations took less than BRIEF_S of late, on average.

        The first ones of new shapes are planned as well, and tell nothing.
        """
        key = (sha256, shapes)
        runs = self._by_shapes.count(key)
        return runs >= _RUNS_TO_BE_BRIEF and self._by_shapes.of(key) <= BRIEF_S


class _Averages:
    def __init__(self) -> None:
        self._found: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def add(self, key: Hashable, seconds: float) -> None:
        """Takes in a time; the one unused for longest is forgotten."""
        average, count = self._found.get(key, (seconds, 0))
        self._found[key] = (average + _WEIGHT * (seconds - average), count + 1)
        self._found.move_to_end(key)
        if len(self._found) > MOST_KNOWN:
            self._found.popitem(last=False)

    def of(self, key: Hashable) -> float:
        """Returns an average; 0 for an unknown key."""
        return self._found.get(key, (0.0, 0))[0]

    def count(self, key: Hashable) -> int:
        """Returns how many times were taken in."""
        return self._found.get(key, (0.0, 0))[1]
