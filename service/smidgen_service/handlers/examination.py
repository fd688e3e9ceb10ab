"""Looks at sampled requests in a thread of its own, with the float twins of their versions."""

from __future__ import annotations

import os
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from numpy.typing import NDArray

from smidgen.artifact import LARGEST_HEADER_BYTES, load_artifact
from smidgen.errors import InvalidTensorError, SmidgenError
from smidgen.health.examiner import Examiner
from smidgen.health.findings import Findings
from smidgen.health.twin import NoTwinError
from smidgen_service.store.blobs import BlobStore

T = TypeVar("T")
_LOWEST_PRIORITY = 19


@dataclass(frozen=True, slots=True, eq=False)
class Sample:
    """One request's first sample. It stays in memory, and nothing shows it.

    Attributes:
        sha256: The artifact of its version.
        inputs: Its inputs, of which nobody else has a view.
        answer: The version's first output for it; None if the request has another form of it.
    """

    sha256: str
    inputs: Mapping[str, NDArray[Any]]
    answer: NDArray[Any] | None


@dataclass(frozen=True, slots=True)
class ExaminationLimits:
    """What examining may take.

    Attributes:
        most_bytes: Memory of all twins, for weights and plans.
        most_run_bytes: Most memory for the activations of one run.
        most_work: Most operations of one run.
    """

    most_bytes: int
    most_run_bytes: int
    most_work: int


class Examination:
    """Examines one sample at a time.

    Two threads take turns: one has the priority of all others, as it holds the lock of the
    interpreter, for which the event loop would have to wait until it gets to run again. The other
    runs twins, which takes nearly all of the time and needs no lock, and has the lowest priority.

    Args:
        blobs: The artifacts.
        limits: What it may take.
    """

    def __init__(self, blobs: BlobStore, limits: ExaminationLimits) -> None:
        self._blobs = blobs
        self._limits = limits
        self._twins: OrderedDict[str, Examiner] = OrderedDict()  # used for longest ago first
        self._thread = ThreadPoolExecutor(1, "health")
        self._low = ThreadPoolExecutor(1, "health-run", initializer=_lower_priority)

    def submit(self, sample: Sample) -> Future[tuple[Findings | str, float]]:
        """Has a sample examined.

        Returns:
            What was found, or why nothing of this version can ever be; and the seconds of CPU time.
        """
        return self._thread.submit(self._examine, sample)

    def close(self) -> None:
        """Waits for the sample that is being examined."""
        self._thread.shutdown(cancel_futures=True)
        self._low.shutdown()

    def _examine(self, sample: Sample) -> tuple[Findings | str, float]:
        started_s = time.thread_time()
        low_s = 0.0

        def run(work: Callable[[], T]) -> T:
            nonlocal low_s
            value, low_s = self._low.submit(_timed, work).result()
            return value

        found: Findings | str
        try:
            examiner = self._examiner(sample.sha256)
            found = _examined(examiner, sample, run)
            self._keep(sample.sha256, examiner)
        except NoTwinError as error:
            found = error.message
        return found, time.thread_time() - started_s + low_s

    def _examiner(self, sha256: str) -> Examiner:
        known = self._twins.pop(sha256, None)
        if known is not None:
            return known
        with self._blobs.pinned(sha256):
            path = self._blobs.path(sha256)
            # Weights are no smaller in float, and what else an artifact has is its header.
            self._expect_room(path.stat().st_size - LARGEST_HEADER_BYTES)
            program = load_artifact(path)
        try:
            return Examiner(
                program,
                most_constant_bytes=self._limits.most_bytes,
                most_bytes=self._limits.most_run_bytes,
                most_work=self._limits.most_work,
            )
        except SmidgenError as error:
            raise NoTwinError(error.message) from error

    def _keep(self, sha256: str, examiner: Examiner) -> None:
        """Keeps a twin for the next sample, and drops those used for longest ago.

        Raises:
            NoTwinError: it alone takes more than all may.
        """
        if examiner.memory_bytes > self._limits.most_bytes and not examiner.is_of_one_size:
            # A client chooses the extents of images, and must not turn this off for others.
            examiner.drop_plans()
        self._expect_room(examiner.memory_bytes)
        self._twins[sha256] = examiner
        while sum(one.memory_bytes for one in self._twins.values()) > self._limits.most_bytes:
            self._twins.popitem(last=False)

    def _expect_room(self, needed_bytes: int) -> None:
        if needed_bytes > self._limits.most_bytes:
            raise NoTwinError(
                f"in float the version takes {needed_bytes} bytes or more, and "
                f"{self._limits.most_bytes} are allowed (--health-memory-bytes)"
            )


def _examined(
    examiner: Examiner, sample: Sample, run: Callable[[Callable[[], Any]], Any]
) -> Findings:
    try:
        return examiner.examine(sample.inputs, sample.answer, run)
    except InvalidTensorError as error:
        if examiner.is_of_one_size:
            raise NoTwinError(error.message) from error
        raise


def _timed(work: Callable[[], T]) -> tuple[T, float]:
    started_s = time.thread_time()
    value = work()
    return value, time.thread_time() - started_s


def _lower_priority() -> None:
    # Linux has a priority for each thread; elsewhere it would be that of the whole process.
    with suppress(OSError, AttributeError):
        if os.uname().sysname == "Linux":
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _LOWEST_PRIORITY)
