"""Generates the Python stubs of proto/ into python/; `--check` fails if committed ones differ."""

from __future__ import annotations

import filecmp
import os
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
STUBS = Path("smidgen/v1")


def generate(out: Path) -> None:
    """Writes messages, services and their type stubs below `out`."""
    protos = sorted(str(path) for path in (ROOT / "proto" / STUBS).glob("*.proto"))
    well_known = str(files("grpc_tools") / "_proto")
    plugins = {"python": "", "grpc_python": "", "mypy": "quiet:", "mypy_grpc": "quiet:"}
    outputs = [f"--{plugin}_out={option}{out}" for plugin, option in plugins.items()]
    # protoc looks for its plugins on the path; they are installed beside the interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    status = protoc.main(["protoc", f"-I{ROOT / 'proto'}", f"-I{well_known}", *outputs, *protos])
    if status != 0:
        sys.exit(f"protoc failed with status {status}; its message is above")


def check() -> None:
    """Exits with an error that names every stub which differs from a fresh one."""
    committed = ROOT / "python" / STUBS
    with tempfile.TemporaryDirectory() as folder:
        generate(Path(folder))
        fresh = Path(folder) / STUBS
        names = {path.name for path in fresh.iterdir()}
        names |= {path.name for path in committed.glob("*_pb2*.py*")}
        _, differing, missing = filecmp.cmpfiles(committed, fresh, sorted(names), shallow=False)
    if differing or missing:
        sys.exit(f"stubs out of date, run `make proto`: {', '.join(differing + missing)}")


if __name__ == "__main__":
    if "--check" in sys.argv[1:]:
        check()
    else:
        generate(ROOT / "python")
