"""How late the event loop is."""

from __future__ import annotations

import asyncio
import time

from smidgen_service.loop_lag import LoopLag
from smidgen_service.metrics import Metrics


async def test_what_holds_the_loop_up_is_seen() -> None:
    lags = Metrics().loop_lag.labels()
    lag = LoopLag(lags, interval_s=0.01)
    lag.stop()  # before it began
    lag.start()
    while not sum(lags.counts):
        await asyncio.sleep(0.01)
    before_s = lags.sum
    time.sleep(0.2)
    while lags.sum == before_s:
        await asyncio.sleep(0.01)
    assert lags.sum - before_s >= 0.18
    lag.stop()
    looks = sum(lags.counts)
    await asyncio.sleep(0.05)
    assert sum(lags.counts) == looks
