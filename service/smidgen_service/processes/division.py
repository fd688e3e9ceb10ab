"""What each of several processes may use of what the server may use."""

from __future__ import annotations

from dataclasses import replace

from smidgen_service.quotas import TenantLimits
from smidgen_service.settings import MIB, Settings


def share_of(settings: Settings, index: int) -> Settings:
    """Returns the settings of one front.

    Places to compute and to wait, the memory of engines, and what looking at quantization may take
    are divided: together the fronts take
    what one process would. Connections and calls, which the kernel spreads unevenly, are rounded
    up.

    Args:
        settings: Those of the whole server.
        index: Which front it is, from 0.
    """
    count = settings.processes
    of_address = settings.max_calls_per_address
    return settings.model_copy(
        update={
            # What it said is in the others; a front that starts again may find another one.
            "settings_file": None,
            "max_concurrent_inferences": _part(settings.max_concurrent_inferences, count, index),
            "max_queued_inferences": _part(settings.max_queued_inferences, count, index),
            "health_sample_rate": settings.health_sample_rate / count,
            "health_cpu_share": settings.health_cpu_share / count,
            "health_memory_bytes": settings.health_memory_bytes // count,
            "max_connections": _ceil(settings.max_connections, count),
            "max_concurrent_calls": _ceil(settings.max_concurrent_calls, count),
            "max_calls_per_address": None if of_address is None else _ceil(of_address, count),
            "engine_memory_bytes": max(settings.engine_memory_bytes // count, MIB),
        }
    )


def share_of_limits(limits: TenantLimits, count: int) -> TenantLimits:
    """Returns what a tenant may have in one of so many fronts."""
    if limits.inferences is None:
        return limits
    return replace(limits, inferences=_ceil(limits.inferences, count))


def _part(total: int, count: int, index: int) -> int:
    """Returns one of `count` parts of a number; each has at least 1 unless there is nothing."""
    return max(total // count + (index < total % count), min(total, 1))


def _ceil(total: int, count: int) -> int:
    return -(-total // count)
