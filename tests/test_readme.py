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
from smidgen.formats.pt2 import read_pt2

README = Path(__file__).resolve().parent.parent / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
PRELUDE = "import numpy as np\nimages = np.load('images.npy')\n"
EXPORT_PRELUDE = """\
import torch

model = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3), torch.nn.Flatten(), torch.nn.Linear(72, 10))
images = torch.zeros(7, 1, 8, 8)
"""
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


def run(code: str, folder: Path, *, prelude: str = PRELUDE, check: str = CHECK) -> str:
    """Runs a script in the folder and returns what it printed."""
    (folder / "session.py").write_text(prelude + code + check)
    ended = subprocess.run(
        [sys.executable, "session.py"], cwd=folder, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_there_are_an_export_a_client_and_a_library_session() -> None:
    assert ["torch.export" in block for block in BLOCKS] == [True, False, False]
    assert ["smidgen.client" in block for block in BLOCKS] == [False, True, False]


def test_export(tmp_path: Path) -> None:
    run(BLOCKS[0], tmp_path, prelude=EXPORT_PRELUDE, check="")
    (found,) = read_pt2(tmp_path / "digits.pt2").inputs
    assert found.shape == (None, 1, 8, 8)


def test_client_session(folder: Path) -> None:
    with serve(folder / "server" / "data") as server:
        printed = run(BLOCKS[1].replace("127.0.0.1:8001", server.target), folder)
    losses = [float(line.split()[1]) for line in printed.splitlines() if line]
    assert losses
    assert all(loss >= 0 for loss in losses)


def test_library_session(folder: Path) -> None:
    run(BLOCKS[2], folder)
    assert (folder / "digits.smidgen").stat().st_size > 100_000
