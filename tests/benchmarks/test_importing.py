"""What the measurement of importing counts."""

from __future__ import annotations

import json
import mmap
import subprocess
import sys
from pathlib import Path

import numpy as np

from benchmarks.importing import memory_peaks, summarize

MIB = 1 << 20


GIVEN_BACK = """
import json, numpy as np
from benchmarks.importing import memory_peaks
with memory_peaks() as peaks:
    array = np.ones(64 << 20, np.uint8)
    peaks.take()
    del array
print(json.dumps(peaks.bytes))
"""


def test_memory_that_is_given_back_counts() -> None:
    # In a process of its own: what tests before have left may be given back meanwhile.
    command = [sys.executable, "-c", GIVEN_BACK]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    found = json.loads(done.stdout)
    assert 60 * MIB < found["anonymous"] < 80 * MIB
    assert found["mapped"] < 16 * MIB


def test_pages_of_a_mapped_file_count_apart(tmp_path: Path) -> None:
    path = tmp_path / "zeros"
    path.write_bytes(bytes(32 * MIB))
    with memory_peaks() as peaks, path.open("rb") as file:
        view = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        assert np.frombuffer(view, np.uint8).sum() == 0
    assert 30 * MIB < peaks.bytes["mapped"] < 48 * MIB
    assert peaks.bytes["anonymous"] < 16 * MIB


def test_the_most_memory_of_all_rounds_is_told() -> None:
    runs = [
        {"seconds": seconds, "cpu_seconds": seconds / 2, "anonymous": 50.0, "mapped": seconds}
        for seconds in (3.0, 1.0, 2.0)
    ]
    assert summarize(runs, size=100) == {
        "median_s": 2.0, "minimum_s": 1.0, "cpu_median_s": 1.0, "rounds": 3,
        "anonymous_ratio": 0.5, "mapped_ratio": 0.03,
    }  # fmt: skip
