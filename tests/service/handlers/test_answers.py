"""Answers that take long are made in threads, and hold what they need until they are made."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from smidgen_service.errors import TooLargeError
from smidgen_service.handlers.answers import Answers
from smidgen_service.handlers.computation import Wanted, answer_of
from smidgen_service.threads import Threads
from tests.service.handlers.thread_runs import ThreadRuns

PLAIN, SORTED = Wanted(("y",), {}, 1 << 30), Wanted(("y",), {"y": 5}, 1 << 30)


@pytest.fixture
def answers() -> Iterator[Answers]:
    threads = Threads(1, "test")
    yield Answers(ThreadRuns(threads), threads)
    threads.close()


@pytest.mark.parametrize(
    ("values", "wanted", "is_apart"),
    [(9, [PLAIN], False), (9, [PLAIN, SORTED], True), (1 << 19, [PLAIN], True)],
)
async def test_what_is_sorted_or_large_is_made_in_a_thread(
    answers: Answers, values: int, wanted: list[Wanted], is_apart: bool
) -> None:
    results = {"y": np.zeros((1, values), np.float32)}
    thread = await answers.made(results, wanted, threading.get_ident)
    assert (thread != threading.get_ident()) is is_apart


async def test_who_is_cancelled_stays_until_the_answer_is_made(answers: Answers) -> None:
    """Else the place that its caller holds would go to another while it is still made."""
    begun, may_end = threading.Event(), threading.Event()

    def make() -> None:
        begun.set()
        assert may_end.wait(10)

    results: dict[str, Any] = {"y": np.zeros((1, 9), np.float32)}
    task = asyncio.create_task(answers.made(results, [SORTED], make))
    await asyncio.to_thread(begun.wait, 10)
    for _ in range(3):
        task.cancel()
        await asyncio.sleep(0.01)
    assert not task.done()
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_more_classes_than_an_answer_holds_are_refused_before_they_are_sorted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(np, "argsort", None)
    results = {"y": np.zeros((4, 1 << 16), np.float32)}
    with pytest.raises(TooLargeError, match="the outputs have 1835008 bytes, an answer holds"):
        answer_of(results, Wanted(("y",), {"y": 1 << 20}, 1 << 20))


def test_classes_that_turn_out_too_large_are_refused() -> None:
    results = {"y": np.full((1, 1000), 1e30, np.float32)}
    with pytest.raises(TooLargeError, match=r"the outputs have 4[0-9]{4} bytes"):
        answer_of(results, Wanted(("y",), {"y": 1000}, 40_000))
