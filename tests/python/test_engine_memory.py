"""What a loaded program takes of the process's memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smidgen.artifact import save_artifact
from smidgen.program import Conv2d, DType, Program, TensorInfo

CHANNELS = 512
LAYERS = 6
MIB = 1 << 20

LOAD_AND_RUN = """
import json, sys
import numpy as np
from smidgen.artifact import load_artifact
from smidgen.engine import Engine

def resident():
    with open("/proc/self/statm") as pages:
        return int(pages.read().split()[1]) * 4096

np.abs(np.zeros((512, 4608), np.int8)).sum(axis=1, dtype=np.int64)
before = resident()
engine = Engine(load_artifact(sys.argv[1]))
shape = (1, int(sys.argv[2]), 8, 8)
engine.run({"x": np.zeros(shape, np.uint8)})
plan = engine.describe_plan({"x": shape})
print(json.dumps({"grown": resident() - before, "arena": plan.arena_bytes + plan.scratch_bytes}))
"""


def wide_net() -> Program:
    """3x3 convolutions whose weights take 2.25 MiB each."""
    names = [f"t{index}" for index in range(LAYERS + 1)]
    tensors = {"x": TensorInfo("x", DType.UINT8, (None, CHANNELS, 8, 8), scale=0.125)}
    steps, constants = [], {}
    rng = np.random.default_rng(0)
    for source, target in zip(["x", *names], names[:LAYERS], strict=False):
        tensors[target] = TensorInfo(target, DType.UINT8, (None, CHANNELS, 8, 8), scale=0.125)
        weight = rng.integers(-127, 128, (CHANNELS, CHANNELS, 3, 3)).astype(np.int8)
        constants |= {
            f"{target}.weight": weight,
            f"{target}.scale": np.full(CHANNELS, 1e-3, np.float32),
            f"{target}.bias": np.zeros(CHANNELS, np.int32),
        }
        fields = (f"{target}.weight", f"{target}.scale", f"{target}.bias")
        steps.append(Conv2d(source, target, *fields, padding=(1, 1, 1, 1)))
    return Program(("x",), (names[LAYERS - 1],), tensors, tuple(steps), constants)


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_loaded_program_takes_half_as_much_again_as_its_artifact(tmp_path: Path) -> None:
    path = tmp_path / "wide.smidgen"
    save_artifact(wide_net(), path)
    output = subprocess.run(
        [sys.executable, "-c", LOAD_AND_RUN, str(path), str(CHANNELS)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    found = json.loads(output)
    # One huge page and some of the allocator's own belong to no tensor.
    most = 1.5 * path.stat().st_size + found["arena"] + 4 * MIB
    assert found["grown"] < most
    assert found["grown"] > path.stat().st_size / 2
