"""The check of coverage fails where lines or branches are missing, each on its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest
from coverage import CoverageData
from coverage.exceptions import NoDataError

from tools.check_coverage import Bound, shortfalls, totals_of

SOURCE = """\
def sign(x):
    if x < 0:
        return -1
    return 1
"""


def totals(lines: int, branches: int) -> Mapping[str, int]:
    return {
        "covered_lines": lines, "num_statements": 200,
        "covered_branches": branches, "num_branches": 50,
    }  # fmt: skip


def test_shares_at_their_bounds_are_enough() -> None:
    assert shortfalls(Bound("*", lines=95, branches=90), totals(190, 45)) == []


def test_each_share_below_its_bound_is_named() -> None:
    bound = Bound("*/formats/*", lines=95, branches=90)
    (lines,) = shortfalls(bound, totals(189, 45))
    assert lines.startswith("*/formats/*: the tests reach 189 of 200 lines, which is 94.50 %")
    (branches,) = shortfalls(bound, totals(190, 44))
    assert "44 of 50 branches, which is 88.00 %, expected at least 90 %" in branches
    assert len(shortfalls(bound, totals(0, 0))) == 2


def test_totals_are_those_of_the_files_that_fit(tmp_path: Path) -> None:
    wanted, other = tmp_path / "formats" / "sign.py", tmp_path / "graph" / "sign.py"
    for path in (wanted, other):
        path.parent.mkdir()
        path.write_text(SOURCE)
    data = CoverageData(str(tmp_path / "data"))
    data.add_arcs({str(wanted): [(-1, 1), (1, -1), (-1, 2), (2, 4), (4, -1)], str(other): []})
    data.write()
    found = totals_of("*/formats/*", str(tmp_path / "data"))
    assert (found["covered_lines"], found["num_statements"]) == (3, 4)
    assert (found["covered_branches"], found["num_branches"]) == (1, 2)
    with pytest.raises(NoDataError):
        totals_of("*/nothing/*", str(tmp_path / "data"))
