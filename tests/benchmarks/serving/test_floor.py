"""The floor is measured on real servers."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.serving.floor import _rows, measure_floor
from benchmarks.serving.quantiles import Quantiles


def test_ratios_are_those_to_the_echo() -> None:
    latencies = {"echo": Quantiles(0.5, 1.0, 10), "Infer": Quantiles(0.6, 3.0, 10)}
    rows = _rows(latencies, {"echo": (4000.0, 200.0), "Infer": (1000.0, 500.0)})
    assert rows["Infer"].ratio == pytest.approx(1.2)
    assert rows["Infer"].cpu_ratio == pytest.approx(2.5)
    assert (rows["echo"].ratio, rows["echo"].cpu_ratio) == (1.0, 1.0)


def test_all_three_are_measured(tmp_path: Path) -> None:
    rows = measure_floor(tmp_path, rounds=5, slices=1, slice_s=0.3)
    assert list(rows) == ["echo", "Infer", "ModelInfer"]
    for row in rows.values():
        assert row.latency.calls == (10 if row is rows["echo"] else 5)
        assert 0 < row.latency.p50_ms <= row.latency.p99_ms
        assert row.calls_per_second > 0
        assert row.server_cpu_us > 0
