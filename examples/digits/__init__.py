"""The whole journey on 1,797 scanned digits: train, calibrate, quantize, serve, compare."""

from __future__ import annotations

import os

# Before torch is imported: threads that spin while they wait are slow on a machine with other work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
