"""The clock of the server."""

from __future__ import annotations

import time
from collections.abc import Callable

Clock = Callable[[], int]


def now_us() -> int:
    """Returns the time in microseconds since 1970 UTC."""
    return time.time_ns() // 1000
