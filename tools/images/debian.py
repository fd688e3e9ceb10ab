"""A Debian with its Python, to build on where no registry of images can be reached."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

SUITE = "bookworm"
PACKAGES = ("python3", "ca-certificates")
# File systems and their checks are the host's, and the server's times are UTC.
LEFT_OUT = ("e2fsprogs", "logsave", "tzdata")
# Nobody reads documentation in a container, or converts character sets by the C library.
_UNREAD = (
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/aarch64-linux-gnu/gconv",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
    "var/cache/apt",
    "var/lib/apt/lists",
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
    options = [f"--include={','.join(PACKAGES)}", f"--exclude={','.join(LEFT_OUT)}"]
    command = ["debootstrap", "--variant=minbase", *options, SUITE, root]
    subprocess.run([*command, mirror] if mirror else command, check=True)
    for path in (path for name in _UNREAD for path in (root / name).glob("*")):
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    complete.touch()
