"""No pauses of the measuring process's own in what it measures."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """Keeps the garbage collector from running in this process during the block.

    A collection of all that torch leaves in a process takes more than 100 ms. Callers that stand
    still for so long would be counted as the server's latency, on every call that is under way.
    """
    gc.collect()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
