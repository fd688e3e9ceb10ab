"""Checks that the tests reach enough of what reads files of strangers: lines, and branches.

Run after `coverage combine`; the shares of all the rest are bounded by `coverage report`.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coverage import Coverage

DIGITS = 2


@dataclass(frozen=True, slots=True)
class Bound:
    """Least percentages of a part of the sources."""

    pattern: str
    lines: float
    branches: float


BOUNDS = (Bound("*/smidgen/formats/*", lines=95.0, branches=90.0),)


def shortfalls(bound: Bound, totals: Mapping[str, Any]) -> list[str]:
    """Returns one line for each share that is below its bound.

    Args:
        bound: What is wanted.
        totals: The totals of a JSON report of coverage.
    """
    shares = {
        "lines": (totals["covered_lines"], totals["num_statements"], bound.lines),
        "branches": (totals["covered_branches"], totals["num_branches"], bound.branches),
    }
    return [
        f"{bound.pattern}: the tests reach {covered} of {count} {kind}, which is "
        f"{100 * covered / max(count, 1):.{DIGITS}f} %, expected at least {least} %; test the rest"
        for kind, (covered, count, least) in shares.items()
        if 100 * covered < least * max(count, 1)
    ]


def totals_of(pattern: str, data_file: str | None = None) -> Mapping[str, Any]:
    """Returns the totals of the files whose path fits a pattern, from what coverage recorded.

    Raises:
        coverage.exceptions.NoDataError: nothing was recorded for any such file.
    """
    observed = Coverage() if data_file is None else Coverage(data_file=data_file)
    observed.load()
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        observed.json_report(outfile=str(report), include=[pattern])
        totals: Mapping[str, Any] = json.loads(report.read_bytes())["totals"]
    return totals


def main() -> int:
    """Prints the shares; returns 1 if one is too low."""
    found: list[str] = []
    for bound in BOUNDS:
        totals = totals_of(bound.pattern)
        lines = 100 * totals["covered_lines"] / totals["num_statements"]
        branches = 100 * totals["covered_branches"] / totals["num_branches"]
        print(f"{bound.pattern}: lines {lines:.{DIGITS}f} %, branches {branches:.{DIGITS}f} %")
        found += shortfalls(bound, totals)
    for line in found:
        print(line, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
