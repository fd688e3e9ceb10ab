"""One process a contestant, so that no runtime's threads and settings disturb another's.

The processes take turns: one runs while all others wait for a message.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import multiprocessing
import os
import sys
import time
import traceback
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from benchmarks.peers.contestant import Contestant, Entry
from benchmarks.subject import Subject

_CONTEXT = multiprocessing.get_context("spawn")
_LOOK_S, _MOST_LOOKS = 0.01, 100
_STILL_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Introduction:
    """What a contestant says about itself once it is loaded.

    Attributes:
        version: Of the runtime.
        kernels: How many of which kernels it runs.
        output: The first output for the subject's input.
    """

    version: str
    kernels: Mapping[str, int]
    output: NDArray[np.generic]


class WorkerError(RuntimeError):
    """A contestant failed; the message is the traceback from its process."""


class Worker:
    """A contestant in a process of its own, pinned to as many CPUs as it has threads.

    Args:
        entry: Who runs.
        subject: What it runs.
        threads: How many threads it may use.

    Raises:
        WorkerError: the contestant could not be loaded.
    """

    def __init__(self, entry: Entry, subject: Subject, threads: int) -> None:
        # A process of its own makes the model, so that its threads are not those measured.
        self._start(_prepare, entry, subject, threads)
        self._receive()
        self.close()
        self._start(_serve, entry, subject, threads)
        self.introduction = cast("Introduction", self._receive())

    def time(self, calls: int) -> list[float]:
        """Runs once to warm the caches, then `calls` times; returns their seconds.

        The process is still by then: the next contestant has the CPUs to itself.
        """
        self._connection.send(calls)
        return cast("list[float]", self._receive())

    def peak(self) -> float | None:
        """Measures the multiply-accumulates a second that it could do at most, if it knows how."""
        self._connection.send(None)
        return cast("float | None", self._receive())

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join()

    def _start(self, target: Callable[..., None], entry: Entry, *arguments: object) -> None:
        self._connection, theirs = _CONTEXT.Pipe()
        self._process = _CONTEXT.Process(
            target=target, args=(theirs, entry, *arguments), daemon=True
        )
        with _environment(entry.environment), _no_main_module():
            self._process.start()
        theirs.close()

    def _receive(self) -> object:
        """Returns what the process sends; ends the process if that is why it failed."""
        try:
            answer = self._connection.recv()
        except EOFError as error:
            self._process.join()
            raise WorkerError(f"its process ended with {self._process.exitcode}") from error
        if isinstance(answer, str):
            self.close()
            raise WorkerError(answer)
        return cast("object", answer)


def _prepare(connection: Connection, entry: Entry, subject: Subject, threads: int) -> None:
    logging.disable(logging.WARNING)
    try:
        _module(entry).prepare(subject, entry.variant, threads)
        connection.send(None)
    except Exception:
        connection.send(traceback.format_exc())


def _module(entry: Entry) -> Any:
    return importlib.import_module(f"benchmarks.peers.{entry.runtime}")


def _serve(connection: Connection, entry: Entry, subject: Subject, threads: int) -> None:
    logging.disable(logging.WARNING)
    try:
        pin(threads)
        go_first()
        contestant = cast("Contestant", _module(entry).load(subject, entry.variant, threads))
        contestant.run()
        connection.send(
            Introduction(contestant.version, dict(contestant.kernels), contestant.output())
        )
        while True:
            try:
                calls = connection.recv()
            except EOFError:
                return
            if calls is None:
                connection.send(contestant.peak())
                continue
            contestant.run()
            seconds = [_seconds(contestant) for _ in range(calls)]
            wait_until_still()
            connection.send(seconds)
    except Exception:
        connection.send(traceback.format_exc())


def _seconds(contestant: Contestant) -> float:
    start = time.perf_counter()
    contestant.run()
    return time.perf_counter() - start


def wait_until_still(cpu_s: Callable[[], float] = time.process_time) -> None:
    """Waits until no thread of this process computes any more, for a second or so at most.

    Threads of some runtimes spin for a while after a call: ONNX Runtime's 50 to 90 ms.

    Args:
        cpu_s: Tells the CPU time of all threads, in seconds.
    """
    for _ in range(_MOST_LOOKS):
        used_s, since_s = cpu_s(), time.perf_counter()
        time.sleep(_LOOK_S)
        if cpu_s() - used_s < _STILL_SHARE * (time.perf_counter() - since_s):
            return


def go_first() -> None:
    """Lets this process go before all others of the machine, as far as it may."""
    with contextlib.suppress(PermissionError):
        os.sched_setscheduler(
            0, os.SCHED_RR, os.sched_param(os.sched_get_priority_min(os.SCHED_RR))
        )


def pin(threads: int) -> None:
    """Restricts this process to the last `threads` of the CPUs that it may use.

    Raises:
        ValueError: it may not use so many.
    """
    available = sorted(os.sched_getaffinity(0))
    if threads > len(available):
        raise ValueError(f"{threads} threads need as many CPUs, this process may use {available}")
    os.sched_setaffinity(0, available[-threads:])


@contextlib.contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Sets variables for processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


@contextlib.contextmanager
def _no_main_module() -> Iterator[None]:
    """Keeps processes that are started meanwhile from importing the command that starts them.

    With it they would load PyTorch beside each runtime, and take seconds for that.
    """
    main = sys.modules["__main__"]
    sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        yield
    finally:
        sys.modules["__main__"] = main
