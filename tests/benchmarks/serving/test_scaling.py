"""The measurement of several processes, in a short form."""

from __future__ import annotations

from pathlib import Path

from benchmarks.serving.scaling import measure_scaling


def test_servers_are_measured_in_turns(tmp_path: Path) -> None:
    rows = measure_scaling(tmp_path, (1, 2), slices=1, slice_s=0.2)
    assert list(rows) == ["1", "2"]
    assert rows["1"].ratio == 1
    assert rows["2"].ratio == rows["2"].calls_per_second / rows["1"].calls_per_second
    assert all(row.server_cpu_us > 0 for row in rows.values())
