"""Trials run several at a time, in the order of the rows, and are not run twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.coverage import runner
from benchmarks.coverage.architecture import Architecture, Format
from benchmarks.coverage.outcome import Outcome, Stage
from benchmarks.coverage.runner import Row, run_trials
from tests.benchmarks.coverage.small_nets import architecture

TRIALS = [
    (architecture(name="first"), Format.PT2),
    (architecture(name="second"), Format.PT2),
    (architecture(name="first"), Format.ONNX),
]


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Format]]:
    """What was run, in place of processes."""
    started: list[tuple[str, Format]] = []

    def run(found: Architecture, file_format: Format) -> Outcome:
        started.append((found.name, file_format))
        return Outcome(Stage.DONE, nodes=len(started), sqnr_db=33.5)

    monkeypatch.setattr(runner, "_run_trial", run)
    return started


def test_rows_come_in_the_order_of_the_trials(ran: list[tuple[str, Format]]) -> None:
    seen: list[Row] = []
    rows = run_trials(TRIALS, 2, seen.append)
    assert [(row.architecture.name, row.file_format) for row in rows] == [
        ("first", Format.PT2), ("second", Format.PT2), ("first", Format.ONNX),
    ]  # fmt: skip
    assert sorted(ran) == sorted((item.name, kind) for item, kind in TRIALS)
    assert len(seen) == 3


def test_known_outcomes_are_taken_from_the_file_and_new_ones_added(
    ran: list[tuple[str, Format]], tmp_path: Path
) -> None:
    results = tmp_path / "results.jsonl"
    first = run_trials(TRIALS[:1], 1, lambda _: None, results)
    assert len(ran) == 1
    rows = run_trials(TRIALS, 1, lambda _: None, results)
    assert len(ran) == 3
    assert rows[0].outcome == first[0].outcome
    assert rows[0].outcome.stage is Stage.DONE
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    assert [line[:2] for line in lines] == [["first", "pt2"], ["second", "pt2"], ["first", "onnx"]]
    assert run_trials(TRIALS, 1, lambda _: None, results) == rows
    assert len(ran) == 3
