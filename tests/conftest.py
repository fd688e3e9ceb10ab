"""Settings of the whole test run."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator

import pytest
from hypothesis import HealthCheck, settings

# Before anything imports torch: several processes share the cores during the tests, and threads
# that spin while they wait would take the cores from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

# No test waits for balancers, but those that are about waiting for them.
os.environ.setdefault("SMIDGEN_LAME_DUCK_SECONDS", "0")

# How fast a machine is decides nothing here, nor how busy.
settings.register_profile(
    "any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("any machine")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Spares the collector the modules and tests: they last to the end, and are many."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()
