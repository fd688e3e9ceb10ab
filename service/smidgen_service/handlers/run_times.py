"""How long inferences take, learned from those that were computed."""

from __future__ import annotations

from collections import OrderedDict, deque

Shapes = tuple[tuple[int, ...], ...]
"""Of all inputs of a computation, in the model's order."""

MOST_KNOWN = 4096
"""Versions, and versions with shapes, of which times are kept: clients choose the shapes."""
BRIEF_S = 250e-6
"""A computation shorter than this costs less than handing it over to a thread and back."""
_WEIGHT = 0.2
_LATEST = 8
_RUNS_TO_BE_BRIEF = 3


class RunTimes:
    """The times of computations, for the event loop's thread alone."""

    def __init__(self) -> None:
        # Of a sample, by artifact and by the bits of the number of samples.
        self._averages: OrderedDict[str, dict[int, float]] = OrderedDict()
        self._latest: OrderedDict[tuple[str, Shapes], deque[float]] = OrderedDict()

    def record(self, sha256: str, samples: int, seconds: float) -> None:
        """Takes in how long one computation of an artifact took, waits included."""
        averages = self._averages.setdefault(sha256, {})
        size, of_sample = samples.bit_length(), seconds / samples
        average = averages.get(size, of_sample)
        averages[size] = average + _WEIGHT * (of_sample - average)
        self._averages.move_to_end(sha256)
        if len(self._averages) > MOST_KNOWN:
            self._averages.popitem(last=False)

    def record_held(self, sha256: str, shapes: Shapes, seconds: float) -> None:
        """Takes in how long a computation holds up the event loop, or would hold it up.

        Of one in a thread that is its CPU time: there the interpreter's lock makes it wait, longest
        in a busy server, and computations that got there would stay there. Of one on the loop it
        is the time that it took: asking for CPU time may cost more than the computation.
        """
        key = (sha256, shapes)
        latest = self._latest.get(key)
        if latest is None:
            latest = self._latest[key] = deque(maxlen=_LATEST)
        latest.append(seconds)
        self._latest.move_to_end(key)
        if len(self._latest) > MOST_KNOWN:
            self._latest.popitem(last=False)

    def shapes_of(self, sha256: str) -> list[Shapes]:
        """Returns the shapes that an artifact was computed with, the newest first."""
        return [shapes for digest, shapes in reversed(self._latest) if digest == sha256]

    def estimate_s(self, sha256: str, samples: int) -> float:
        """Returns how long a computation may take, in seconds; 0 for an unknown artifact.

        It is a moving average over computations of about as many samples, or of the next fewer or
        more that are known: in large batches a sample may take a third of what it takes alone.
        """
        averages = self._averages.get(sha256)
        if averages is None:
            return 0.0
        size = samples.bit_length()
        if size not in averages:
            size = min(averages, key=lambda known: abs(known - size))
        return samples * averages[size]

    def is_brief(self, sha256: str, shapes: Shapes) -> bool:
        """Tells whether the shortest of the latest computations was no longer than BRIEF_S.

        What a computation needs depends on its shapes alone, and whatever comes between only adds
        to it. The first ones of new shapes are planned as well, and tell nothing.
        """
        latest = self._latest.get((sha256, shapes), ())
        return len(latest) >= _RUNS_TO_BE_BRIEF and min(latest) <= BRIEF_S
