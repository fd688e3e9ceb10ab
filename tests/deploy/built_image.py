"""Images as `make image-test` builds and starts them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tools.images import build as images
from tools.images.container import Container

USER = 1000


@dataclass(frozen=True)
class Image:
    """What was built."""

    target: str
    root: Path
    configuration: dict[str, Any]


@contextmanager
def built(target: str) -> Iterator[Image]:
    """Builds a target of the Dockerfile and gives its files until the end of the block."""
    buildah, name = images.build(target)
    container, root = buildah.unpack(name)
    try:
        yield Image(target, root, buildah.configuration(name))
    finally:
        buildah.remove(container)


def data_folder(folder: Path) -> Path:
    """Returns a new folder in another one that the image's user may write to."""
    data = folder / "data"
    data.mkdir()
    os.chown(data, USER, USER)
    return data


def start(image: Image, folder: Path, data: Path, name: str) -> Container:
    """Starts the server as the image does, with the one word that it asks for."""
    return Container.start(
        name,
        folder / name,
        root=image.root,
        data=data,
        configuration=image.configuration,
        variables={"SMIDGEN_INSECURE_BIND": "true", "SMIDGEN_LAME_DUCK_SECONDS": "0"},
    )


def assert_is_confined(container: Container) -> None:
    """Asks the kernel and the file systems what the server may do."""
    status = status_of(container)
    assert status["Uid"] == status["Gid"] == "\t".join([str(USER)] * 4)
    assert status["CapBnd"] == status["CapEff"] == "0" * 16
    assert status["NoNewPrivs"] == "1"
    assert container.run("touch", "/opt/smidgen/file").returncode == 1
    assert container.run("touch", "/data/file", "/tmp/file").returncode == 0


def status_of(container: Container) -> dict[str, str]:
    """Returns what the kernel says of the server."""
    text = container.run("cat", "/proc/1/status").stdout
    return {line.partition(":")[0]: line.partition(":")[2].strip() for line in text.splitlines()}


def files_of(image: Image) -> list[Path]:
    """Returns the files in an image."""
    return [path for path in image.root.rglob("*") if path.is_file() and not path.is_symlink()]


def size_of(files: list[Path]) -> int:
    """Returns their size in bytes; one with several names counts once."""
    return sum({path.stat().st_ino: path.stat().st_size for path in files}.values())


def bill_of(image: Image) -> dict[str, Any]:
    """Returns the bill of materials in an image."""
    bill: dict[str, Any] = json.loads((image.root / "usr/share/smidgen/sbom.cdx.json").read_text())
    return bill


def record(image: Image, **figures: object) -> None:
    """Adds figures to those of an image, for docs/deployment.md."""
    path = images.FOLDER / f"figures-{image.target}.json"
    known = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(known | figures, indent=1) + "\n")
