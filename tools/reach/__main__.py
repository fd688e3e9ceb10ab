"""Prepares a run of which is measured what it reaches, and tells coverage.py the result."""

from __future__ import annotations

import argparse
import hashlib
import json
import marshal
import sys
import sysconfig
from pathlib import Path

from coverage import CoverageData

from tools.reach import following
from tools.reach.arcs import arcs_of
from tools.reach.following import VARIABLE, marked_copy
from tools.reach.marking import mark_module

_STARTER = "_reach_following"
_MARKS = "marks.json"


def prepare(folder: Path, roots: list[Path]) -> None:
    """Compiles a marked copy of each module below the roots; nothing is reached yet.

    Raises:
        SyntaxError: a file there is none of Python.
    """
    folder.mkdir(parents=True, exist_ok=True)
    count = 0
    marks = {}
    for path in sorted(file for root in roots for file in root.resolve().rglob("*.py")):
        source = path.read_bytes()
        marked = mark_module(source, count)
        marks[str(path)] = (count, hashlib.sha256(source).hexdigest())
        count += marked.count
        copy = Path(marked_copy(str(path)))
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(marshal.dumps(compile(marked.tree, path, "exec", dont_inherit=True)))
    (folder / _MARKS).write_text(json.dumps(marks))
    (folder / "roots").write_text("".join(f"{root.resolve()}/\n" for root in roots))
    (folder / "reached").write_bytes(bytes(count))


def install() -> None:
    """Lets each process of this environment follow, if it is told where."""
    packages = Path(sysconfig.get_path("purelib"))
    (packages / f"{_STARTER}.py").write_bytes(Path(following.__file__).read_bytes())
    (packages / f"{_STARTER}.pth").write_text(
        f"import os; {VARIABLE!r} in os.environ and __import__({_STARTER!r})\n"
    )


def report(folder: Path, data_file: str) -> None:
    """Writes a data file of coverage.py with what was reached since the preparations.

    Raises:
        ValueError: a source file is another than it was then.
    """
    reached = (folder / "reached").read_bytes()
    arcs = {}
    for path, (first, digest) in json.loads((folder / _MARKS).read_text()).items():
        source = Path(path).read_bytes()
        if hashlib.sha256(source).hexdigest() != digest:
            raise ValueError(f"{path} changed after it was marked; prepare again and run the tests")
        arcs[path] = arcs_of(source.decode(), mark_module(source, first), reached)
    data = CoverageData(data_file)
    data.erase()
    data.add_arcs(arcs)
    data.touch_files(arcs)
    data.write()


def main() -> int:
    """Does what the arguments say."""
    parser = argparse.ArgumentParser(prog="python -m tools.reach", description=__doc__)
    parser.add_argument("step", choices=["prepare", "report"])
    parser.add_argument("folder", type=Path, help="where marks and lists are")
    parser.add_argument("roots", type=Path, nargs="*", help="packages to measure")
    parser.add_argument("--data-file", default=".coverage", help="what coverage.py reads")
    options = parser.parse_args()
    if options.step == "prepare":
        prepare(options.folder, options.roots)
        install()
    else:
        report(options.folder, options.data_file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
