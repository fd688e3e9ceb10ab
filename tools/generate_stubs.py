"""Generates the Python stubs of proto/; `--check` fails if committed ones differ."""

from __future__ import annotations

import filecmp
import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
_MESSAGES = {"python": "", "mypy": "quiet:"}


@dataclass(frozen=True, slots=True)
class Stubs:
    """The stubs of one directory of proto files.

    Attributes:
        proto_path: What protoc looks for imports in: a directory, or `name=directory` where
            the files go by another name.
        protos: The files, as protoc knows them.
        root: The directory that their Python package lies in.
        package: That package, as a path.
        plugins: What to generate, and with which options.
    """

    proto_path: str
    protos: tuple[str, ...]
    root: Path
    package: Path
    plugins: Mapping[str, str]


def _stubs() -> tuple[Stubs, ...]:
    smidgen = Path("smidgen/v1")
    # Inside of the service: a package named `inference` belongs to nobody, and clients that load
    # this and another copy of the protocol in one process would fail.
    inference = Path("smidgen_service/open_inference")
    return (
        Stubs(
            proto_path=str(ROOT / "proto"),
            protos=_names(ROOT / "proto" / smidgen, smidgen),
            root=Path("python"),
            package=smidgen,
            plugins={**_MESSAGES, "grpc_python": "", "mypy_grpc": "quiet:"},
        ),
        Stubs(
            proto_path=f"{inference}={ROOT / 'proto' / 'inference'}",
            protos=_names(ROOT / "proto" / "inference", inference),
            root=Path("service"),
            package=inference,
            plugins=_MESSAGES,
        ),
    )


def generate(stubs: Stubs, out: Path) -> None:
    """Writes messages, services and their type stubs below `out`."""
    well_known = str(files("grpc_tools") / "_proto")
    outputs = [f"--{plugin}_out={option}{out}" for plugin, option in stubs.plugins.items()]
    # protoc looks for its plugins on the path; they are installed beside the interpreter.
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    status = protoc.main(
        ["protoc", f"-I{stubs.proto_path}", f"-I{well_known}", *outputs, *stubs.protos]
    )
    if status != 0:
        sys.exit(f"protoc failed with status {status}; its message is above")


def check(stubs: Stubs) -> None:
    """Exits with an error that names every stub which differs from a fresh one."""
    committed = ROOT / stubs.root / stubs.package
    with tempfile.TemporaryDirectory() as folder:
        generate(stubs, Path(folder))
        fresh = Path(folder) / stubs.package
        names = {path.name for path in fresh.iterdir()}
        names |= {path.name for path in committed.glob("*_pb2*.py*")}
        _, differing, missing = filecmp.cmpfiles(committed, fresh, sorted(names), shallow=False)
    if differing or missing:
        sys.exit(f"stubs out of date, run `make proto`: {', '.join(differing + missing)}")


def _names(folder: Path, known_as: Path) -> tuple[str, ...]:
    return tuple(str(known_as / path.name) for path in sorted(folder.glob("*.proto")))


if __name__ == "__main__":
    for entry in _stubs():
        if "--check" in sys.argv[1:]:
            check(entry)
        else:
            generate(entry, ROOT / entry.root)
