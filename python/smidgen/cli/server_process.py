"""The server in the place of this process. Imports nothing of the other commands."""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Sequence


def is_installed() -> bool:
    """Tells whether the server is here, and not the library alone."""
    return importlib.util.find_spec("smidgen_service") is not None


def become_server(options: Sequence[str]) -> None:
    """Runs the server instead of this process: signals and the exit code are its own.

    Args:
        options: Its settings.
    """
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", "smidgen_service", *options])
