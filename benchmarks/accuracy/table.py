"""Accuracies over several seeds, as a table and as a file."""

from __future__ import annotations

import json
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from benchmarks.accuracy.trial import FLOAT, FORMS, Trial


def percentages(trials: Sequence[Trial], form: str) -> list[float]:
    """Returns the accuracy of one form for each seed, in percent."""
    return [100 * trial.correct[form] / trial.test_count for trial in trials]


def markdown(name: str, trials: Sequence[Trial]) -> str:
    """Returns a table: one row for each form, with the mean and the spread over the seeds."""
    lines = [
        f"| {name} | accuracy, mean of {len(trials)} seeds | standard deviation | lowest | highest "
        "| against float | bytes of float |",
        "|---|---|---|---|---|---|---|",
    ]
    float_mean = statistics.mean(percentages(trials, FLOAT))
    for form in FORMS:
        found = percentages(trials, form)
        mean = statistics.mean(found)
        bits = form.split()[-1]
        share = statistics.mean(trial.size_shares.get(bits, 1.0) for trial in trials)
        lines.append(
            f"| {form} | {mean:.2f} % | {_spread(found):.2f} | {min(found):.2f} | "
            f"{max(found):.2f} | {mean - float_mean:+.2f} | {share:.3f} |"
        )
    return "\n".join(lines)


def write_trials(
    path: Path, machine: Mapping[str, str], name: str, trials: Sequence[Trial]
) -> None:
    """Writes what each seed brought, and what it depends on."""
    document: dict[str, Any] = {
        **machine,
        "data": name,
        "trials": [asdict(trial) for trial in trials],
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def _spread(values: Sequence[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else 0.0
