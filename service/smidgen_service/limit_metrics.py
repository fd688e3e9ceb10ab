"""What the metrics are measured against: limits of the settings, and the disk."""

from __future__ import annotations

import os
from pathlib import Path

from smidgen_service.machine import machine_memory_bytes
from smidgen_service.metrics import Metrics
from smidgen_service.settings import Settings


def show_limits(metrics: Metrics, settings: Settings, root: Path) -> None:
    """Shows the limits of the whole server, however many processes it has.

    Args:
        metrics: Those of the process that keeps the store.
        settings: The settings of the whole server.
        root: Its data directory.
    """
    metrics.queue_limit.set(settings.max_queued_inferences)
    metrics.inflight_limit.set(settings.max_concurrent_inferences)
    metrics.memory_limit_bytes.set(machine_memory_bytes())
    metrics.disk_free_bytes.set_function(lambda: _disk(root)[0])
    metrics.disk_size_bytes.set_function(lambda: _disk(root)[1])


def _disk(root: Path) -> tuple[int, int]:
    """Returns the bytes that the server may still write, and those of the file system."""
    try:
        found = os.statvfs(root)
    except OSError:  # a scrape of everything else is worth more
        return 0, 0
    return found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize
