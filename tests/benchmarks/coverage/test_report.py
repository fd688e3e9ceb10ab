"""The page tells what passed, what did not, and why."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.coverage.architecture import Format
from benchmarks.coverage.outcome import Outcome, Stage
from benchmarks.coverage.report import failure_of, is_enough, write_report
from benchmarks.coverage.runner import Row
from tests.benchmarks.coverage.small_nets import Net, architecture


def row(
    stage: Stage = Stage.DONE,
    *,
    name: str = "net",
    family: str = "classifier",
    file_format: Format = Format.PT2,
    reason: str = "",
    sqnr_db: float | None = 30.0,
) -> Row:
    outcome = Outcome(stage, reason, 1234567, 42, 1.5e-6, sqnr_db)
    return Row(architecture(Net, name=name, family=family), file_format, outcome)


@pytest.mark.parametrize(
    ("found", "failure"),
    [
        (row(), None),
        (row(sqnr_db=12.0), None),
        (row(sqnr_db=None), None),
        (row(sqnr_db=11.94), "run: 11.9 dB, expected at least 12 dB"),
        (row(family="encoder", sqnr_db=19.0), "run: 19.0 dB, expected at least 20 dB"),
        (row(Stage.IMPORT, reason="no aten.foo"), "import: no aten.foo"),
    ],
)
def test_a_row_passes_if_it_is_done_and_quiet_enough(found: Row, failure: str | None) -> None:
    assert failure_of(found) == failure


def test_the_page_counts_each_format_on_its_own(tmp_path: Path) -> None:
    rows = [
        row(name="good"),
        row(Stage.EXPORT, name="bad", reason="a | b"),
        row(name="ported", file_format=Format.ONNX),
    ]
    write_report(tmp_path / "page.md", rows, planned=3)
    text = (tmp_path / "page.md").read_text()
    first, second = text.split("## Through ONNX")
    assert "1 of 2 pass, 50.0 %." in first
    assert "| tests good | classifier | 1,234,567 | 42 | 1.5e-06 | 30.0 dB | passed |" in first
    assert "| tests bad |" in first
    assert "export: a / b |" in first
    assert "1 of 1 pass, 100.0 %." in second
    assert "ported" in second
    assert "was stopped" not in text


def test_the_page_tells_that_trials_are_missing(tmp_path: Path) -> None:
    write_report(tmp_path / "page.md", [row()], planned=7)
    text = (tmp_path / "page.md").read_text()
    assert "This run was stopped after 1 of 7 trials." in text
    assert "## Through ONNX" not in text


@pytest.mark.parametrize(("failed", "enough"), [(0, True), (2, True), (3, False)])
def test_each_format_has_to_pass_for_95_percent(failed: int, enough: bool) -> None:
    onnx = [row(Stage.DONE if index >= failed else Stage.EXPORT) for index in range(40)]
    of_onnx = [Row(one.architecture, Format.ONNX, one.outcome) for one in onnx]
    assert is_enough([row() for _ in range(400)] + of_onnx) is enough
