"""Builds an image of the Dockerfile on this machine: `python -m tools.images --help`."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from tools.images.build import ROOT, build
from tools.images.machine import lacks


def main() -> None:
    """Builds the image and says how large it is."""
    parser = argparse.ArgumentParser(prog="python -m tools.images", description=__doc__)
    parser.add_argument("--target", choices=("infer", "full"), default="infer")
    parser.add_argument("--mirror", help="where Debian's packages come from")
    parser.add_argument("--archive", type=Path, help="write the image here, for `docker load`")
    options = parser.parse_args()
    problem = lacks()
    if problem is not None:
        sys.exit(f"cannot build images here: {problem}")
    try:
        buildah, name = build(options.target, mirror=options.mirror, revision=revision())
    except subprocess.CalledProcessError as error:
        sys.exit(f"{error.cmd[0]} failed with {error.returncode}")
    print(f"built {name}")
    if options.archive is not None:
        buildah.save(name, options.archive)
        print(f"written to {options.archive}")


def revision() -> str:
    """Returns the commit that is checked out; empty where git does not know."""
    command = ["git", "-C", str(ROOT), "rev-parse", "HEAD"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    return done.stdout.strip()


if __name__ == "__main__":
    main()
