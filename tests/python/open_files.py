"""How many files this process has open."""

from __future__ import annotations

from pathlib import Path


def count_open_files() -> int:
    """Returns the number of descriptors; the one that the counting takes is always among them."""
    return len(list(Path("/proc/self/fd").iterdir()))
