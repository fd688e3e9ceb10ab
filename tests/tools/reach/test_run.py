"""A package is measured across processes, however they end, and coverage.py is told of it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from coverage import Coverage, CoverageData

from tools.reach.__main__ import prepare, report
from tools.reach.following import VARIABLE, marked_copy

ROOT = Path(__file__).parents[3]
INNER = """\
def sign(x):
    if x < 0:
        return -1
    return 1
"""
KILLED = "import os, signal; from tools.reach import following; from package import inner; "
KILL = "os.kill(os.getpid(), signal.SIGKILL)"


@pytest.fixture
def package(tmp_path: Path) -> Path:
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "inner.py").write_text(INNER)
    (package / "other.py").write_text("VALUE = 1\n")
    prepare(tmp_path / "reach", [package])
    return package


def run_killed(package: Path, statement: str) -> None:
    environment = {
        **os.environ,
        VARIABLE: str(package.parent / "reach"),
        "PYTHONPATH": f"{ROOT}:{package.parent}",
    }
    command = [sys.executable, "-c", KILLED + statement + KILL]
    assert subprocess.run(command, env=environment, check=False).returncode < 0


def test_processes_that_are_killed_add_what_they_reached(package: Path, tmp_path: Path) -> None:
    data_file = str(tmp_path / "data")
    missing = []
    for statement in ("", "inner.sign(1); ", "inner.sign(-1); "):
        run_killed(package, statement)
        report(tmp_path / "reach", data_file)
        observed = Coverage(data_file=data_file, config_file=False)
        observed.load()
        missing.append(observed.analysis2(str(package / "inner.py"))[3])
    assert missing == [[2, 3, 4], [3], []]
    measured = CoverageData(data_file)
    measured.read()
    assert measured.measured_files() == {str(path) for path in package.glob("*.py")}
    assert measured.lines(str(package / "other.py")) == []


def test_a_file_without_a_marked_copy_runs_as_it_is(package: Path, tmp_path: Path) -> None:
    Path(marked_copy(str(package / "inner.py"))).unlink()
    run_killed(package, "inner.sign(1); ")
    assert not any((tmp_path / "reach" / "reached").read_bytes())


def test_a_file_that_changed_since_the_preparations_is_refused(
    package: Path, tmp_path: Path
) -> None:
    (package / "inner.py").write_text(INNER + "VALUE = 2\n")
    with pytest.raises(ValueError, match=r"inner\.py changed .* prepare again"):
        report(tmp_path / "reach", str(tmp_path / "data"))
