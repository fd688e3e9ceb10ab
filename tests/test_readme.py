"""The Python that the README shows runs as it stands there, but for the port."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.digits.data import load_split
from examples.digits.model import DigitNet, export
from examples.digits.server import serve

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
PRELUDE = "import numpy as np\nimages = np.load('images.npy')\n"
CHECK = "\nassert logits.shape == (7, 10), logits.shape\nassert np.isfinite(logits).all()\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Holds the files that the README speaks of; the model has random weights."""
    folder = tmp_path_factory.mktemp("readme")
    digits = load_split()
    torch.manual_seed(0)
    export(DigitNet().eval(), folder / "digits.pt2")
    np.savez(
        folder / "training.npz",
        inputs=digits.training_images[:128],
        labels=digits.training_labels[:128],
    )
    np.save(folder / "images.npy", digits.test_images[:7])
    return folder


def run(code: str, folder: Path) -> str:
    """Runs a script in the folder and returns what it printed."""
    (folder / "session.py").write_text(PRELUDE + code + CHECK)
    ended = subprocess.run(
        [sys.executable, "session.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_there_are_a_client_and_a_library_session() -> None:
    assert ["smidgen.client" in block for block in BLOCKS] == [True, False]


def test_client_session(folder: Path) -> None:
    with serve(folder / "server" / "data") as server:
        printed = run(BLOCKS[0].replace("127.0.0.1:8001", server.target), folder)
    losses = [float(line.split()[1]) for line in printed.splitlines() if line]
    assert losses
    assert all(loss >= 0 for loss in losses)


def test_library_session(folder: Path) -> None:
    run(BLOCKS[1], folder)
    assert (folder / "digits.smidgen").stat().st_size > 100_000
