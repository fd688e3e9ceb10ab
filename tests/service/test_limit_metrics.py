"""What the metrics are measured against."""

from __future__ import annotations

from pathlib import Path

from smidgen_service.limit_metrics import show_limits
from smidgen_service.metrics import Metrics
from smidgen_service.settings import Settings


def test_limits_are_those_of_the_settings_and_the_disk_is_that_of_the_data(tmp_path: Path) -> None:
    metrics = Metrics()
    root = tmp_path / "data"
    settings = Settings(_env_file=None, max_queued_inferences=7, max_concurrent_inferences=3)
    show_limits(metrics, settings, root)

    def value(name: str) -> float:
        return metrics.registry.get_sample_value(f"smidgen_{name}") or 0.0

    assert (value("queue_limit"), value("inflight_limit")) == (7, 3)
    assert value("memory_limit_bytes") > 1 << 20
    assert value("disk_free_bytes") == value("disk_size_bytes") == 0  # it is not there
    root.mkdir()
    assert 0 < value("disk_free_bytes") <= value("disk_size_bytes")
