"""Takes published architectures with random weights from PyTorch to the engine.

`python -m benchmarks.coverage` runs them all and writes docs/coverage.md; with names it runs these
alone and writes nothing. `make coverage-models` installs the packages that they come from.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from benchmarks.coverage.architecture import Architecture, Format
from benchmarks.coverage.architectures import ARCHITECTURES, find
from benchmarks.coverage.report import failure_of, is_enough, write_report
from benchmarks.coverage.runner import Row, run_trials

_REPORT = Path(__file__).parents[2] / "docs" / "coverage.md"


def main() -> int:
    """Runs the trials; returns 1 if fewer passed than are required."""
    options = _options()
    architectures = [find(name) for name in options.names] or list(ARCHITECTURES)
    formats = [Format(name) for name in options.formats]
    trials = _trials(architectures, formats)
    rows = run_trials(trials, options.processes, _print, options.results)
    if not options.names:
        write_report(_REPORT, rows, len(trials))
    return int(not is_enough(rows))


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__)
    parser.add_argument("names", nargs="*", help="architectures; all of them by default")
    parser.add_argument("--processes", type=int, default=2, help="trials at the same time")
    parser.add_argument(
        "--results", type=Path, help="keep outcomes in this file, and take those that are there"
    )
    parser.add_argument("--formats", nargs="+", default=list(Format), choices=list(Format))
    return parser.parse_args()


def _trials(
    architectures: list[Architecture], formats: list[Format]
) -> list[tuple[Architecture, Format]]:
    return [
        (architecture, file_format)
        for file_format in formats
        for architecture in architectures
        if file_format is Format.PT2 or architecture.through_onnx
    ]


def _print(row: Row) -> None:
    outcome = row.outcome
    noise = "" if outcome.sqnr_db is None else f"{outcome.sqnr_db:.1f} dB"
    shown = f"{row.architecture.name:36} {row.file_format:5} {outcome.seconds:6.1f} s  {noise:8}"
    sys.stdout.write(f"{shown} {failure_of(row) or 'passed'}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
