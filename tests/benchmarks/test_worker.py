"""Contestants in real processes, and what becomes of those that fail."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import numpy as np
import pytest

from benchmarks.layers import Layer
from benchmarks.peers import Entry
from benchmarks.subject import Subject
from benchmarks.worker import Worker, WorkerError, wait_until_still
from smidgen.artifact import save_artifact
from smidgen.engine import available_isas

OURS = Entry("smidgen", available_isas()[0])


@pytest.fixture(scope="module")
def subject(tmp_path_factory: pytest.TempPathFactory) -> Subject:
    """One small linear layer."""
    subject = Subject("one layer", 2, tmp_path_factory.mktemp("subject"))
    save_artifact(Layer(2, 8, 4, is_linear=True).program(), subject.artifact)
    subject.save_inputs({"x": np.ones((2, 8), np.float32)})
    return subject


def test_a_worker_introduces_itself_and_runs(subject: Subject) -> None:
    worker = Worker(OURS, subject, threads=1)
    try:
        assert worker.introduction.kernels == {"Quantize": 1, "Linear": 1}
        assert worker.introduction.output.shape == (2, 4)
        seconds = worker.time(3)
        assert len(seconds) == 3
        assert min(seconds) > 0
    finally:
        worker.close()


def test_an_unknown_runtime_is_named(subject: Subject) -> None:
    with pytest.raises(WorkerError, match=r"No module named 'benchmarks\.peers\.nobody'"):
        Worker(Entry("nobody", "qdq"), subject, threads=1)


def test_an_error_while_loading_comes_back_with_its_traceback(tmp_path: Path) -> None:
    with pytest.raises(WorkerError, match=r"(?s)Traceback.*program\.smidgen"):
        Worker(OURS, Subject("nothing", 1, tmp_path), threads=1)


def test_more_threads_than_cpus_are_refused(subject: Subject) -> None:
    threads = len(os.sched_getaffinity(0)) + 1
    with pytest.raises(WorkerError, match=f"{threads} threads need as many CPUs"):
        Worker(OURS, subject, threads)


def test_a_process_that_dies_without_a_word_is_an_error(subject: Subject) -> None:
    # The interpreter refuses to start with a memory allocator that it does not know.
    dying = Entry(OURS.runtime, OURS.variant, {"PYTHONMALLOC": "none"})
    with pytest.raises(WorkerError, match="its process ended with 1"):
        Worker(dying, subject, threads=1)


def test_variables_are_set_for_the_process_only(subject: Subject) -> None:
    before = dict(os.environ)
    with pytest.raises(WorkerError):
        Worker(Entry("nobody", "qdq", {"ONEDNN_MAX_CPU_ISA": "AVX2"}), subject, threads=1)
    assert dict(os.environ) == before


def test_the_next_contestant_waits_for_threads_that_spin_on() -> None:
    hours = iter([0.0, 1.0, 1.0, 2.0, 2.0, 2.0])  # computing in two looks, and not in the third
    wait_until_still(lambda: 3600 * next(hours))
    assert next(hours, None) is None


def test_a_contestant_that_never_rests_is_not_waited_for_for_ever() -> None:
    hours = itertools.count()
    wait_until_still(lambda: 3600.0 * next(hours))
    assert next(hours) == 200
