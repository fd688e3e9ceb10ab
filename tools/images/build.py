"""From the Dockerfile to an image."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tools.images import debian, pip_configuration
from tools.images.buildah import Buildah

ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = ROOT / "build" / "images"
BASE = "localhost/python-debian:bookworm"
_COMPILES = "g++ python3-dev python3-venv"


def build(target: str, *, mirror: str | None = None, revision: str = "") -> tuple[Buildah, str]:
    """Builds a target of the Dockerfile on Debian's own Python; returns its name and where it is.

    Args:
        target: `infer` or `full`.
        mirror: Where Debian's packages come from; None for debootstrap's own choice.
        revision: The commit, for the image's label.

    Raises:
        subprocess.CalledProcessError: a command failed; it has said why.
    """
    buildah = Buildah(FOLDER / "storage")
    name = f"localhost/smidgen:{target}"
    if not buildah.has(BASE):
        root = FOLDER / "debian"
        debian.make_root(root, mirror)
        buildah.import_root(root, BASE)
    settings = pip_configuration.read_machine()
    roots = settings.get("cert")
    with tempfile.TemporaryDirectory() as folder:
        conf = Path(folder) / "pip.conf"
        conf.write_text(
            pip_configuration.for_build(settings, brings_certificates=roots is not None)
        )
        buildah.build(
            ROOT,
            name,
            target=target,
            arguments={
                "PYTHON_IMAGE": BASE,
                "BUILD_PACKAGES": _COMPILES,
                "REVISION": revision,
            },
            secrets={"pip": conf} | ({"ca": Path(roots)} if roots is not None else {}),
            folders=pip_configuration.wheel_folders(settings),
        )
    return buildah, name
