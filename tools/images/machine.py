"""What a machine needs for building and running images: Debian's packages, and rights."""

from __future__ import annotations

import os
import shutil

# Command: the package of Debian that it is in.
TOOLS = {
    "debootstrap": "debootstrap",
    "buildah": "buildah",
    "runc": "runc",
    "nsenter": "util-linux",
}


def lacks() -> str | None:
    """Returns what keeps this machine from it and what to do about that, or None."""
    missing = sorted({package for tool, package in TOOLS.items() if shutil.which(tool) is None})
    if missing:
        return f"{', '.join(missing)} not found; `apt-get install {' '.join(missing)}` brings them"
    if os.geteuid() != 0:
        return "not root, which debootstrap and runc want; use sudo"
    return None
