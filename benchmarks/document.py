"""The file that keeps what was measured."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from benchmarks.row import Row
from smidgen.durable_file import write_durably


def write_document(
    path: Path, machine: Mapping[str, str], rows: Sequence[Row], peers: Sequence[str]
) -> None:
    """Writes rows with what they depend on; a reader sees the last document or this one, whole.

    Args:
        path: The file, which may exist.
        machine: What the numbers depend on.
        rows: What was measured.
        peers: Runtimes to the best of which the ratio is.
    """
    found = [
        {
            **asdict(row),
            "peak": row.peak,
            "ratio": row.ratio(peers, "median_ms"),
            "ratio_turn_by_turn": row.ratio_turn_by_turn(peers),
            "ratio_undisturbed": row.ratio_turn_by_turn(peers, row.undisturbed),
            "undisturbed_rounds": sum(row.undisturbed),
        }
        for row in rows
    ]
    text = json.dumps({**machine, "rows": found}, indent=1) + "\n"
    write_durably(path, text.encode())
