"""Runs trials in processes of their own, several at a time."""

from __future__ import annotations

import dataclasses
import json
import multiprocessing
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from benchmarks.coverage.architecture import Architecture, Format
from benchmarks.coverage.outcome import Outcome, Stage
from benchmarks.coverage.trial import run_trial

_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["benchmarks.coverage.preload"])

MOST_SECONDS = 240
"""After this a trial is ended; alone on a machine most take 3 to 15 seconds."""


@dataclass(frozen=True, slots=True)
class Row:
    """A trial and what came of it."""

    architecture: Architecture
    file_format: Format
    outcome: Outcome


def run_trials(
    trials: Sequence[tuple[Architecture, Format]],
    processes: int,
    on_row: Callable[[Row], None],
    results: Path | None = None,
) -> list[Row]:
    """Runs all trials and returns their rows in the order of the trials.

    Args:
        trials: What to run.
        processes: How many run at the same time.
        on_row: Called with each row as soon as it is there.
        results: A file of outcomes, one a line: trials in it are not run again, others are added.
    """
    known = _read_results(results)

    def run(trial: tuple[Architecture, Format]) -> Row:
        key = (trial[0].name, trial[1].value)
        outcome = known.get(key) or _run_trial(*trial)
        if results is not None and key not in known:
            with results.open("a") as file:
                file.write(json.dumps([*key, dataclasses.asdict(outcome)]) + "\n")
        row = Row(*trial, outcome)
        on_row(row)
        return row

    with ThreadPoolExecutor(processes) as pool:
        return list(pool.map(run, trials))


def _read_results(results: Path | None) -> dict[tuple[str, str], Outcome]:
    if results is None or not results.exists():
        return {}
    lines = [json.loads(line) for line in results.read_text().splitlines()]
    return {(name, kind): _outcome(found) for name, kind, found in lines}


def _outcome(found: Mapping[str, Any]) -> Outcome:
    return Outcome(**{**found, "stage": Stage(found["stage"])})


def _run_trial(architecture: Architecture, file_format: Format) -> Outcome:
    ours, theirs = _CONTEXT.Pipe(duplex=False)
    process = _CONTEXT.Process(
        target=run_trial, args=(theirs, architecture.name, file_format.value), daemon=True
    )
    process.start()
    theirs.close()
    try:
        if not ours.poll(MOST_SECONDS):
            return Outcome(Stage.MAKE, f"it took more than {MOST_SECONDS} s", seconds=MOST_SECONDS)
        return cast("Outcome", ours.recv())
    except EOFError:
        process.join()
        return Outcome(Stage.MAKE, f"its process ended with {process.exitcode}")
    finally:
        process.kill()
        process.join()
        ours.close()
