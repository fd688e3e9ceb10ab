"""A Debian with its Python, to build on where no registry of images can be reached."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("python3", "ca-certificates")
# What Debian's own slim images leave out too: nobody reads documentation in a container.
_UNREAD = (
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/cache/debconf",
    "var/lib/apt/lists",
    "var/log",
)


def make_root(root: Path, mirror: str | None = None) -> None:
    """Installs Debian into a folder, unless it is there from an earlier time.

    Args:
        root: The folder; what broke off in it before is removed.
        mirror: Where the packages come from; None for debootstrap's own choice.

    Raises:
        subprocess.CalledProcessError: debootstrap failed; it has said why.
    """
    complete = root.with_name(f"{root.name}.complete")
    if complete.exists():
        return
    shutil.rmtree(root, ignore_errors=True)
    root.parent.mkdir(parents=True, exist_ok=True)
    command = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, root]
    subprocess.run([*command, mirror] if mirror else command, check=True)
    for name in _UNREAD:
        for path in (root / name).iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    complete.touch()
