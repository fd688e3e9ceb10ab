"""The wheel by itself, in a virtual environment without torch, serves an artifact."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
from pathlib import Path

import numpy as np
import pytest

from examples.digits.model import DigitNet, export
from smidgen.artifact import save_artifact
from smidgen.program import interpret
from tests.python.program.small_programs import every_step_program

ROOT = Path(__file__).resolve().parent.parent

SESSION = """
import importlib.util, json, os, signal, subprocess, sys, time
from pathlib import Path
import numpy as np
from smidgen.client import Client, RemoteError

assert importlib.util.find_spec("torch") is None
artifact, folder = Path(sys.argv[1]), Path(sys.argv[2])
smidgen = Path(sys.executable).with_name("smidgen")
options = ["--port", "0", "--metrics-port", "0", "--data-dir", str(folder)]
server = subprocess.Popen([smidgen, "serve", *options], stderr=subprocess.DEVNULL)
try:
    while not (folder / "server.json").exists():
        assert server.poll() is None, "the server did not start"
        time.sleep(0.05)
    port = json.loads((folder / "server.json").read_text())["port"]
    with Client(f"127.0.0.1:{port}") as client:
        client.wait_ready()
        client.upload_model(artifact, "small")
        image = np.load(artifact.with_name("image.npy"))
        answer = client.infer("small", image)
        try:
            client.upload_model(artifact.with_name("float.pt2"), "float")
            client.calibrate("float", [np.zeros((1, 1, 8, 8), np.float32)])
        except RemoteError as error:
            refused = [error.code, error.reason]
        document = {"logits": answer["logits"].tolist(), "isa": answer.isa, "refused": refused}
        print(json.dumps(document))
finally:
    server.send_signal(signal.SIGTERM)
    assert server.wait(30) == 0
"""


def run(*command: str | Path) -> str:
    """Runs a command away from the source tree and returns what it printed."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    result = subprocess.run(
        [str(part) for part in command],
        check=False,
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.mark.slow
def test_the_wheel_alone_serves_an_artifact(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    pip = [sys.executable, "-m", "pip", "--quiet"]
    # `make setup` has compiled the engine there already.
    reused = ("--config-settings", f"build-dir={ROOT / 'build' / 'engine'}")
    run(*pip, "wheel", "--no-deps", "--no-build-isolation", *reused, "--wheel-dir", wheels, ROOT)
    (wheel,) = wheels.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    lock = ROOT / "requirements.lock"
    run(python, "-m", "pip", "--quiet", "install", "--constraint", lock, wheel)

    program = every_step_program()
    save_artifact(program, tmp_path / "small.smidgen")
    image = np.random.default_rng(3).normal(0, 2, (3, 3, 8, 8)).astype(np.float32)
    np.save(tmp_path / "image.npy", image)
    export(DigitNet().eval(), tmp_path / "float.pt2")
    answer = json.loads(run(python, "-c", SESSION, tmp_path / "small.smidgen", tmp_path / "data"))
    assert answer["logits"] == interpret(program, {"image": image})["logits"].tolist()
    assert answer["refused"] == ["FAILED_PRECONDITION", "OPTIMIZE_NOT_INSTALLED"]
    assert answer["isa"] in {"portable", "avx2", "avxvnni", "avx512vnni", "amx"}
