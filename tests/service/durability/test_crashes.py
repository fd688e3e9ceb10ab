"""Killed and failing: a few points at every test run, all of them with `make soak`.

`python -m tests.service.durability.crashes` and `.failing_calls` print the figures.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest


def run(library: Path, module: str, folder: Path, *options: str) -> dict[str, Any]:
    """Runs a program with the faulty disk preloaded and returns its figures."""
    command = [sys.executable, "-m", f"tests.service.durability.{module}"]
    command += ["--folder", str(folder / "data"), *options]
    ended = subprocess.run(
        command,
        env={**os.environ, "LD_PRELOAD": str(library), "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert ended.stdout, ended.stderr.decode()[-3000:]
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def check_crashes(figures: dict[str, Any], points: int) -> None:
    assert figures["points"] == points
    # At the end of a run the number of calls varies by a few, so the last points may be missed.
    assert figures["killed"] >= 0.9 * points
    for trouble in ("lost", "unreadable", "duplicates", "broken"):
        assert figures[trouble] == [], trouble
    assert figures["slowest_recovery_s"] < 2.0


def check_failures(figures: dict[str, Any]) -> None:
    for trouble in ("untyped", "stuck", "unreadable", "different"):
        assert figures[trouble] == [], trouble
    assert set(figures["reasons"]) <= {"STORAGE_FULL", "STORAGE_FAULT"}


def test_what_was_acknowledged_survives_kills(library: Path, folder: Path) -> None:
    check_crashes(run(library, "crashes", folder, "--points", "20"), 20)


def test_failed_calls_of_the_disk_have_typed_errors(library: Path, folder: Path) -> None:
    figures = run(library, "failing_calls", folder, "--stride", "80", "--first", "17")
    assert figures["points"] >= 10
    check_failures(figures)
    assert sum(figures["reasons"].values()) >= 5


@pytest.mark.soak
@pytest.mark.parametrize("seed", [1])
def test_what_was_acknowledged_survives_200_kills(library: Path, folder: Path, seed: int) -> None:
    check_crashes(run(library, "crashes", folder, "--points", "200", "--seed", str(seed)), 200)


@pytest.mark.soak
def test_every_call_of_the_disk_may_fail(library: Path, folder: Path) -> None:
    figures = run(library, "failing_calls", folder)
    check_failures(figures)
    assert figures["points"] == sum(figures["calls_of_the_disk"].values())
