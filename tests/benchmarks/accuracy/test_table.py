"""Tables of accuracies."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.accuracy.table import markdown, percentages, write_trials
from benchmarks.accuracy.trial import FORMS, Trial

TRIALS = [
    Trial(
        seed=seed,
        correct=dict(zip(FORMS, counts, strict=True)),
        test_count=500,
        size_shares={"int8": 0.25, "W4A8": 0.125},
    )
    for seed, counts in enumerate([(490, 489, 480, 490, 488), (500, 499, 490, 500, 500)])
]


def test_percentages() -> None:
    assert percentages(TRIALS, "float") == [98.0, 100.0]


@pytest.mark.parametrize(
    "row",
    [
        "| float | 99.00 % | 1.41 | 98.00 | 100.00 | +0.00 | 1.000 |",
        "| PTQ int8 | 98.80 % | 1.41 | 97.80 | 99.80 | -0.20 | 0.250 |",
        "| PTQ W4A8 | 97.00 % | 1.41 | 96.00 | 98.00 | -2.00 | 0.125 |",
        "| QAT int8 | 99.00 % | 1.41 | 98.00 | 100.00 | +0.00 | 0.250 |",
        "| QAT W4A8 | 98.80 % | 1.70 | 97.60 | 100.00 | -0.20 | 0.125 |",
    ],
)
def test_rows(row: str) -> None:
    table = markdown("digits", TRIALS)
    assert "mean of 2 seeds" in table
    assert row in table.splitlines()


def test_one_seed_has_no_spread() -> None:
    assert "| float | 98.00 % | 0.00 |" in markdown("digits", TRIALS[:1])


def test_file_keeps_every_seed(tmp_path: Path) -> None:
    path = tmp_path / "trials.json"
    write_trials(path, {"cpu": "x"}, "digits", TRIALS)
    document = json.loads(path.read_text())
    assert (document["cpu"], document["data"]) == ("x", "digits")
    assert [trial["correct"]["QAT W4A8"] for trial in document["trials"]] == [488, 500]
