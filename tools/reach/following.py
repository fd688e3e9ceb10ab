"""Lets a process run the marked copies of modules. Installed beside a `.pth` that starts it.

Stands alone, and imports little, as every process of a test run begins with it.
"""

from __future__ import annotations

import builtins
import marshal
import mmap
import os
from importlib.machinery import SourceFileLoader
from importlib.util import cache_from_source
from types import CodeType

VARIABLE = "REACH_FOLDER"
TAG = "reach"


def marked_copy(path: str) -> str:
    """Returns where the marked code of a source file is: beside its unmarked code."""
    return cache_from_source(path, optimization=TAG)


def follow(folder: str) -> None:
    """Maps the marks of all processes into this one, and loads marked code from now on.

    What is marked is in the file at once: a process may end as it likes, and one that may open no
    files any more still marks.

    Raises:
        OSError: nothing was prepared in the folder.
    """
    with open(f"{folder}/reached", "r+b") as marks:  # noqa: PTH123
        builtins.__reached__ = mmap.mmap(marks.fileno(), 0)  # type: ignore[attr-defined]
    with open(f"{folder}/roots", encoding="utf-8") as listed:  # noqa: PTH123
        roots = tuple(listed.read().splitlines())
    unmarked = SourceFileLoader.get_code

    def get_code(self: SourceFileLoader, name: str) -> CodeType | None:
        if self.path.startswith(roots):
            try:
                with open(marked_copy(self.path), "rb") as copy:  # noqa: PTH123
                    code: CodeType = marshal.loads(copy.read())
                    return code
            except FileNotFoundError:  # a file that is newer than the preparations
                pass
        return unmarked(self, name)

    SourceFileLoader.get_code = get_code  # type: ignore[method-assign, assignment]


if VARIABLE in os.environ:
    follow(os.environ[VARIABLE])
