"""What becomes of a server that gets several times the requests that it can compute."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np

from benchmarks.serving.calls import INFER, pixels_message
from benchmarks.serving.lean import Reply, lean_connection
from benchmarks.serving.pauses import without_collections
from benchmarks.serving.processes import smidgen_server
from benchmarks.serving.programs import PIXELS, image_program, save
from benchmarks.serving.quantiles import Quantiles, quantiles
from benchmarks.subject import Weights

GOODPUT_BAR, LATENCY_BAR, REJECTION_BAR_MS, RECOVERY_BAR_S = 0.9, 2.0, 5.0, 2.0
_MODEL = "images"
_PATIENCE_S, _PAUSE_S = 60.0, 0.01
_WARM_UP_S, _LEAST_S = 1.0, 2.0
_WAIT_SHARE = 0.25

Call = Callable[[bytes], asyncio.Future[Reply]]
"""Makes a call with an encoded message."""


@dataclass(frozen=True, slots=True)
class Turn:
    """What came in one turn: no load, as much as is answered, and more than that.

    Attributes:
        unloaded: Replies to one request at a time.
        peaks_per_second: Requests answered with all places taken and none refused, before the
            overload and after it.
        replies: To requests of the overload.
        elapsed_s: How long these were sent.
    """

    unloaded: Sequence[Reply]
    peaks_per_second: tuple[float, float]
    replies: Sequence[Reply]
    elapsed_s: float

    @property
    def peak_per_second(self) -> float:
        """The mean of both: machines change their speed within seconds."""
        return statistics.fmean(self.peaks_per_second)

    @property
    def goodput_ratio(self) -> float:
        """Requests answered in the overload to the peak."""
        answered = sum(reply.code is grpc.StatusCode.OK for reply in self.replies)
        return answered / self.elapsed_s / self.peak_per_second


@dataclass(frozen=True, slots=True)
class Overload:
    """What was measured.

    Attributes:
        peak_per_second: Median of the turns.
        offered_per_second: Requests sent in the overload.
        goodput_ratio: Of all turns together: a machine that is slow in some turns, before, after or
            in the overload, is so in all three alike when there are enough.
        goodput_ratios: Of each turn.
        turn_peaks_per_second: Before and after each turn.
        unloaded: One request at a time.
        accepted: Of requests that were answered in the overload.
        latency_ratio: 99th percentile of these to that of unloaded ones.
        rejected: Of requests that were refused.
        hinted_share: Of refusals: with RetryInfo and pushback.
        other_codes: Endings other than OK and RESOURCE_EXHAUSTED.
        recovery_s: From the last request of the overload until one is answered as fast as unloaded.
    """

    peak_per_second: float
    offered_per_second: float
    goodput_ratio: float
    goodput_ratios: tuple[float, ...]
    turn_peaks_per_second: tuple[tuple[float, float], ...]
    unloaded: Quantiles
    accepted: Quantiles
    latency_ratio: float
    rejected: Quantiles | None
    hinted_share: float
    other_codes: dict[str, int]
    recovery_s: float


def measure_overload(
    folder: Path,
    *,
    weights: Weights,
    net: str,
    workers: int,
    factor: float,
    turns: int,
    seconds: float,
) -> Overload:
    """Sends `factor` times the capacity for some seconds altogether.

    The capacity is measured before and after each turn of the overload, since machines are not as
    fast at one time as at another. The queue holds as many requests as are computed at a time, for
    no longer than a quarter of what one takes without others, or half of its computation: what is
    answered late is worth less than what is refused at once.
    """
    path = save(image_program(weights, net), folder, _MODEL)
    pixels = np.random.default_rng(0).integers(0, 256, (1, PIXELS, PIXELS, 3), np.uint8)
    flags = (
        *("--max-concurrent-inferences", str(workers), "--engine-threads", "1"),
        *("--max-queued-inferences", str(workers)),
    )
    request = pixels_message(_MODEL, pixels)
    with (
        smidgen_server(folder / "unlimited", {_MODEL: path}, *flags) as unlimited,
        without_collections(),
    ):
        most_queue_ms = _WAIT_SHARE * asyncio.run(_alone_ms(unlimited.target, request))
        limit = ("--max-queue-ms", f"{most_queue_ms:.3f}")
        with smidgen_server(folder / "limited", {_MODEL: path}, *flags, *limit) as limited:
            caller = _Caller(unlimited.target, limited.target, request, workers)
            return asyncio.run(caller.measure(factor, turns, seconds / turns))


async def _alone_ms(target: str, request: bytes) -> float:
    """Returns the median time of one request at a time, in milliseconds."""
    async with lean_connection(target, INFER) as connection:
        await _closed(connection.call, request, at_once=1, seconds=_WARM_UP_S)
        replies = await _closed(connection.call, request, at_once=1, seconds=_LEAST_S)
    return quantiles([reply.seconds for reply in replies]).p50_ms


@dataclass(frozen=True, slots=True)
class _Caller:
    """Who sends the requests.

    Attributes:
        unlimited: The server that lets requests wait.
        limited: The same with a limit, which is overloaded.
        request: What is sent.
        workers: Computations at a time.
    """

    unlimited: str
    limited: str
    request: bytes
    workers: int

    async def measure(self, factor: float, turns: int, turn_s: float) -> Overload:
        async with (
            lean_connection(self.unlimited, INFER) as unlimited,
            lean_connection(self.limited, INFER) as limited,
        ):
            calls = (unlimited.call, limited.call)
            for call in calls:
                await _closed(call, self.request, at_once=1, seconds=_WARM_UP_S)
            found = [await self._turn(*calls, factor, turn_s) for _ in range(turns)]
            limit_s = quantiles([reply.seconds for turn in found for reply in turn.unloaded])
            await self._overload(calls[1], factor * found[-1].peak_per_second, _WARM_UP_S)
            recovery_s = await _recovery(calls[1], self.request, limit_s.p99_ms / 1e3)
        return summarize(found, recovery_s=recovery_s)

    async def _turn(self, unlimited: Call, limited: Call, factor: float, turn_s: float) -> Turn:
        before_s = turn_s / 4
        unloaded = await _closed(unlimited, self.request, at_once=1, seconds=before_s)
        peak = await self._peak(unlimited, before_s)
        sent, elapsed_s = await self._overload(limited, factor * peak, turn_s)
        replies = await asyncio.gather(*sent)
        return Turn(unloaded, (peak, await self._peak(unlimited, before_s)), replies, elapsed_s)

    async def _peak(self, unlimited: Call, seconds: float) -> float:
        """Returns how many a second are answered to callers that wait for each."""
        busy = await _closed(unlimited, self.request, at_once=2 * self.workers, seconds=seconds)
        return sum(reply.code is grpc.StatusCode.OK for reply in busy) / seconds

    async def _overload(
        self, limited: Call, rate: float, seconds: float
    ) -> tuple[list[asyncio.Future[Reply]], float]:
        return await _offer(limited, self.request, rate=rate, seconds=seconds)


def summarize(turns: Sequence[Turn], *, recovery_s: float) -> Overload:
    """Returns what the endings of calls amount to."""
    replies = [reply for turn in turns for reply in turn.replies]
    accepted = [reply.seconds for reply in replies if reply.code is grpc.StatusCode.OK]
    refused = [reply for reply in replies if reply.code is grpc.StatusCode.RESOURCE_EXHAUSTED]
    others = [
        reply.code.name
        for reply in replies
        if reply.code not in (grpc.StatusCode.OK, grpc.StatusCode.RESOURCE_EXHAUSTED)
    ]
    before = quantiles([reply.seconds for turn in turns for reply in turn.unloaded])
    during = quantiles(accepted)
    goodput = len(accepted) / sum(turn.elapsed_s for turn in turns)
    return Overload(
        peak_per_second=statistics.median(turn.peak_per_second for turn in turns),
        offered_per_second=len(replies) / sum(turn.elapsed_s for turn in turns),
        goodput_ratio=goodput / statistics.fmean(turn.peak_per_second for turn in turns),
        goodput_ratios=tuple(turn.goodput_ratio for turn in turns),
        turn_peaks_per_second=tuple(turn.peaks_per_second for turn in turns),
        unloaded=before,
        accepted=during,
        latency_ratio=during.p99_ms / before.p99_ms,
        rejected=quantiles([reply.seconds for reply in refused]) if refused else None,
        hinted_share=sum(reply.is_hinted for reply in refused) / max(1, len(refused)),
        other_codes={name: others.count(name) for name in sorted(set(others))},
        recovery_s=recovery_s,
    )


async def _offer(
    call: Call, request: bytes, *, rate: float, seconds: float
) -> tuple[list[asyncio.Future[Reply]], float]:
    """Sends requests at a rate, whatever becomes of them; returns them and how long it took."""
    sent: list[asyncio.Future[Reply]] = []
    started_s = time.perf_counter()
    while (elapsed_s := time.perf_counter() - started_s) < seconds:
        while len(sent) < rate * elapsed_s:
            sent.append(call(request))
        await asyncio.sleep(1 / rate)
    return sent, elapsed_s


async def _closed(call: Call, request: bytes, *, at_once: int, seconds: float) -> list[Reply]:
    """Returns the replies that `at_once` callers got who always wait for one."""
    replies: list[Reply] = []
    started_s = time.perf_counter()

    async def caller() -> None:
        while time.perf_counter() - started_s < seconds:
            replies.append(await call(request))

    await asyncio.gather(*(caller() for _ in range(at_once)))
    return replies


async def _recovery(call: Call, request: bytes, limit_s: float) -> float:
    started_s = time.perf_counter()
    while (elapsed_s := time.perf_counter() - started_s) < _PATIENCE_S:
        reply = await call(request)
        if reply.code is grpc.StatusCode.OK and reply.seconds <= limit_s:
            break
        await asyncio.sleep(_PAUSE_S)
    return elapsed_s
