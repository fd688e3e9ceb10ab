"""Each target that `make fuzz` names runs, and each that exists is named there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from fuzz.targets import TARGETS

ROOT = Path(__file__).resolve().parents[2]
NAMED = re.search(r"^FUZZ_TARGETS \?= (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)


def _fuzz(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fuzz", *arguments, "--seconds", "0", "--engine", "loop"]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_make_fuzz_names_the_targets_of_the_table() -> None:
    assert NAMED is not None
    assert NAMED[1].split() == list(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_each_target_is_known_to_the_command(target: str) -> None:
    run = _fuzz(target)
    assert (run.returncode, run.stderr.splitlines()[-1]) == (
        0,
        f"{target}: 0 inputs, none of them wrong",
    )


def test_another_target_is_refused_with_the_names_of_all() -> None:
    run = _fuzz("pt3")
    assert (run.returncode, run.stderr.strip()) == (
        1,
        "no target is named 'pt3'; there are pt2, onnx, artifact, shard, folders",
    )
