"""A server for Triton's client, and the client in a process of its own."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from smidgen.artifact import encode_artifact
from tests.service.open_inference import programs
from tests.service.running_server import RunningServer, start_server

SESSION = Path(__file__).with_name("client_session.py")
PIXELS = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3), np.uint8)
Found = Callable[[str], Any]


def overlay(name: str) -> dict[str, str]:
    """Returns variables for a process that finds the packages of a lock before all others."""
    packages = Path(sys.prefix) / name
    if not packages.is_dir():
        pytest.fail(f"{packages} is missing; `make setup` installs requirements-{name}.lock there")
    return {**os.environ, "PYTHONPATH": str(packages)}


def versions(environment: dict[str, str]) -> list[str]:
    """Returns the versions of protobuf and gRPC that a process has."""
    code = "import google.protobuf, grpc; print(google.protobuf.__version__, grpc.__version__)"
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True
    ).stdout.split()


@pytest.fixture(scope="module", params=["requirements", "protobuf7"])
def triton_server(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, model_file: bytes
) -> Iterator[RunningServer]:
    """A server with small models; once with the locked packages, once with newer ones."""
    environment = None
    if request.param != "requirements":
        environment = overlay(request.param)
        assert versions(environment)[0].startswith("7.")
    server = start_server(
        tmp_path_factory.mktemp("triton") / "store",
        "--max-concurrent-inferences",
        "2",
        "--accept-compressed",
        environment=environment,
    )
    try:
        for name in ("simple", "scores", "levels", "flags", "fixed", "digits", "pictures"):
            program = getattr(programs, name)()
            server.upload_model(name, encode_artifact(program), is_artifact=True)
        server.upload_model("counted", encode_artifact(programs.scores()), is_artifact=True)
        server.upload_model("float-model", model_file)
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="module")
def found(triton_server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> Found:
    """Returns what the client found in a scenario."""
    folder = tmp_path_factory.mktemp("images")
    paths = []
    for number, pixels in enumerate(PIXELS):
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        paths.append(folder / f"{number}.png")
        paths[-1].write_bytes(file.getvalue())
    command = [sys.executable, str(SESSION), f"127.0.0.1:{triton_server.port}", *map(str, paths)]
    done = subprocess.run(
        command, check=False, env=overlay("triton"), capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    scenarios = json.loads(done.stdout)

    def of(name: str) -> Any:
        if "error" in scenarios[name]:
            pytest.fail(scenarios[name]["error"])
        return scenarios[name]["found"]

    return of
