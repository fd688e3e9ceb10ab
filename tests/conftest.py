"""Settings of the whole test run."""

from __future__ import annotations

import os

# Before anything imports torch: several processes share the cores during the tests, and threads
# that spin while they wait would take the cores from each other.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
