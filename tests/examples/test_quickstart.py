"""The quickstart against a real server, and the clients of other makes that ask for its model."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from examples import quickstart
from examples.digits.server import RunningServer, serve
from smidgen.client import Client

ROOT = Path(__file__).resolve().parents[2]
TRITON = ROOT / ".venv" / "triton"
INSTALL_S = 300
BLACK = np.zeros((1, 1, 8, 8), np.float32)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    with serve(tmp_path_factory.mktemp("quickstart") / "data") as running:
        yield running


@pytest.fixture(scope="module")
def printed(server: RunningServer) -> list[str]:
    """What the quickstart says of float32 and int8."""
    with pytest.MonkeyPatch.context() as patch:
        lines: list[str] = []
        patch.setattr("builtins.print", lines.append)
        patch.setattr(quickstart, "EPOCHS", 6)
        assert quickstart.main(["--server", server.target]) == 0
    return lines


def test_int8_is_as_accurate_as_float(printed: list[str]) -> None:
    in_float, in_int8 = (float(line.split()[-3].removesuffix("%")) for line in printed)
    assert in_float > 90
    assert in_int8 >= in_float - 1


@pytest.mark.skipif(not TRITON.exists(), reason="tritonclient is not installed; make setup does")
def test_tritons_client_gets_the_same_bytes(
    server: RunningServer, printed: list[str], tmp_path: Path
) -> None:
    images = np.random.default_rng(0).random((3, 1, 8, 8), dtype=np.float32)
    np.save(tmp_path / "images.npy", images)
    command = [sys.executable, str(ROOT / "examples" / "triton_client.py")]
    command += ["--server", server.target]
    command += ["--images", str(tmp_path / "images.npy"), "--out", str(tmp_path / "logits.npy")]
    ended = run(command, PYTHONPATH=str(TRITON))
    assert "version 1, input " in ended
    assert "[-1, 1, 8, 8]" in ended
    with Client(server.target) as client:
        expected = client.infer("quickstart", images)["output"]
    np.testing.assert_array_equal(np.load(tmp_path / "logits.npy"), expected)


def test_a_node_client_gets_the_same_values(
    server: RunningServer, printed: list[str], tmp_path: Path
) -> None:
    folder = node_project(tmp_path)
    command = ["node", str(folder / "client.js"), server.target, "models/quickstart"]
    answer = json.loads(run(command, SMIDGEN_PROTOS=str(ROOT / "proto")))
    assert answer["model_version"] == "models/quickstart/versions/1"
    assert answer["shape"] == [1, 10]
    with Client(server.target) as client:
        expected = client.infer("quickstart", BLACK)["output"]
    np.testing.assert_array_equal(np.array([answer["logits"]], np.float32), expected)


def node_project(folder: Path) -> Path:
    """Returns the example with its packages, which its own folder may have already."""
    own = ROOT / "examples" / "node"
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed")
    if (own / "node_modules").exists():
        return own
    if "SMIDGEN_TEST_NODE" not in os.environ:
        pytest.skip("its packages are not installed; SMIDGEN_TEST_NODE=1 lets npm fetch them")
    project = shutil.copytree(own, folder / "node")
    command = ["npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    ended = subprocess.run(
        command, cwd=project, capture_output=True, text=True, check=False, timeout=INSTALL_S
    )
    assert ended.returncode == 0, ended.stderr
    return project


def run(command: list[str], **variables: str) -> str:
    """Returns what a command prints."""
    ended = subprocess.run(
        command, env={**os.environ, **variables}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout
