"""Says what a machine lacks for the set-up, before anything is installed."""

from __future__ import annotations

import os
import shutil
import sys

COMPILERS = ("c++", "g++", "clang++")


def main() -> None:
    """Exits with one clear line if the interpreter is too old or no C++ compiler is there."""
    found = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < (3, 11):
        sys.exit(f"Python {found} found, 3.11 or newer needed; name one with `make PYTHON=...`")
    if not any(shutil.which(os.environ.get("CXX", name)) for name in COMPILERS):
        sys.exit("no C++ compiler found; install g++ 12 or clang++ 15 or newer, or set CXX")


if __name__ == "__main__":
    main()
