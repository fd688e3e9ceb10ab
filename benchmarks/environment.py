"""What measured numbers depend on."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from smidgen.engine import available_isas


def environment() -> dict[str, str]:
    """Returns the CPU, its instruction sets and the commit."""
    commit = subprocess.run(
        ["git", "describe", "--always", "--dirty"], capture_output=True, text=True, check=False
    )
    models = [
        line for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line
    ]
    return {
        "cpu": models[0].partition(":")[2].strip() if models else platform.processor(),
        "cores": str(os.cpu_count()),
        "isas": " ".join(available_isas()),
        "commit": commit.stdout.strip(),
    }
