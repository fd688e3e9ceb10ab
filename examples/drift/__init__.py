"""A server that tells when its digits are no longer those that it was calibrated on."""

from __future__ import annotations

import os

# Before torch is imported: threads that spin while they wait are slow on a machine with other work.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
