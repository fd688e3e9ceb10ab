"""Those who run the nets: smidgen and other runtimes at their best settings, one module each."""

from __future__ import annotations

from benchmarks.peers.contestant import Contestant, Entry, NotIntegerError

__all__ = ["Contestant", "Entry", "NotIntegerError"]
