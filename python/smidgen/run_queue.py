"""Runs of engines in threads that compute without the interpreter's lock, for event loops."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from smidgen import _engine
from smidgen.engine import Engine

Arrays = Mapping[str, NDArray[Any]]
MOST_RUN_THREADS = 4096


@dataclass(frozen=True, slots=True)
class NotFinite:
    """A NaN or an infinity, the first of its request.

    Attributes:
        request: The request's index.
        name: The input.
        index: Where it is in the input, flat.
    """

    request: int
    name: str
    index: int


@dataclass(frozen=True, slots=True)
class QueuedRunTimes:
    """Where the time of a run went, in seconds.

    Attributes:
        started_s: When it began, by time.perf_counter (on Linux).
        input_s: Until its inputs had been looked at and joined.
        compute_s: From there to its end, the plan of new shapes included.
        cpu_s: CPU time of its thread, altogether.
    """

    started_s: float
    input_s: float
    compute_s: float
    cpu_s: float


class QueuedRun:
    """A run that waits, computes, or has ended.

    Until it has ended it has no results: asking for them raises EngineError.

    Args:
        run: The engine's side of it.
        engine: What runs.
    """

    def __init__(self, run: _engine.QueuedRun, engine: Engine) -> None:
        self._run = run
        self._engine = engine

    @property
    def isa(self) -> str:
        """The instruction-set level that computes."""
        return self._engine.isa

    @property
    def times(self) -> QueuedRunTimes:
        """Where the time went."""
        return QueuedRunTimes(*self._run.times)

    @property
    def not_finite(self) -> tuple[NotFinite, ...]:
        """Values for which nothing was computed, of each request the first."""
        names = self._engine.input_names
        return tuple(
            NotFinite(request, names[number], index)
            for request, number, index in self._run.not_finite
        )

    def take_outputs(self) -> dict[str, NDArray[Any]]:
        """Hands over the outputs of all requests joined, once.

        Returns:
            Nothing if there are values that are not finite.

        Raises:
            EngineError: it has not ended, or they have been taken.
            InvalidTensorError: the run would go beyond a limit, or a shape does not fit.
        """
        return dict(zip(self._engine.output_names, self._run.take_outputs(), strict=False))


class RunQueue:
    """Threads that compute one run after the other, and the runs that wait for them.

    A thread that ends a run begins the next one without waiting for anything in Python, however
    busy the interpreter is. All members are for one thread: that of an event loop, which waits
    until `ended_file` is readable.

    Args:
        threads: Runs at the same time, 1 to MOST_RUN_THREADS. Each may use further threads of its
            engine.

    Raises:
        EngineError: `threads` is out of range, or the system has no thread or file left.
    """

    def __init__(self, threads: int) -> None:
        self._queue = _engine.RunQueue(threads)
        self._runs: dict[_engine.QueuedRun, QueuedRun] = {}

    @property
    def ended_file(self) -> int:
        """A file descriptor that is readable while `take_ended` has something to hand over."""
        return self._queue.ended_file

    def submit(self, engine: Engine, requests: Sequence[Arrays]) -> QueuedRun:
        """Adds a run behind the others.

        Args:
            engine: What runs.
            requests: The inputs as for `Engine.run_checked`; those of several requests are joined
                along the first axis. They must not change until the run has ended.

        Raises:
            InvalidTensorError: an index selects no row, inputs cannot be joined, or a type does not
                fit.
            KeyError: an input is missing.
            EngineError: the queue is closed, or that of the parent of a forked process.
        """
        run = engine.submit_to(self._queue, requests)
        queued = self._runs[run] = QueuedRun(run, engine)
        return queued

    def withdraw(self, run: QueuedRun) -> bool:
        """Takes a run out of the queue, which then never ends; False if it has begun."""
        if not self._queue.withdraw(run._run):
            return False
        del self._runs[run._run]
        return True

    def take_ended(self) -> list[QueuedRun]:
        """Returns the runs that have ended since the last call."""
        found = (self._runs.pop(run, None) for run in self._queue.take_ended())
        # One is unknown if an interrupt came between its submission and the note of it.
        return [run for run in found if run is not None]

    def close(self) -> None:
        """Waits for all runs of the queue, and takes no more."""
        self._queue.close()
