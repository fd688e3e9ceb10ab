"""The Prometheus of the other tests, with a target of a few lines."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Gauge

from smidgen_service.exposition import Exposition
from smidgen_service.metrics_endpoint import MetricsEndpoint
from tests.service.observability.prometheus_server import PrometheusServer, needs_prometheus

pytestmark = needs_prometheus

RULES = """\
groups:
  - name: doubles
    rules:
      - record: doubled
        expr: 2 * height_metres
      - alert: TooHigh
        expr: height_metres > 5
"""


@pytest.fixture
def gauge() -> Iterator[tuple[Gauge, int]]:
    registry = CollectorRegistry()
    height = Gauge("height_metres", "How high it is.", ["of"], registry=registry)
    endpoint = MetricsEndpoint(Exposition(registry), host="127.0.0.1", port=0)
    yield height, endpoint.port
    endpoint.close()


def test_values_types_and_rules_are_seen(gauge: tuple[Gauge, int], tmp_path: Path) -> None:
    height, port = gauge
    height.labels("door").set(2.5)
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES)
    with PrometheusServer(tmp_path / "prometheus", port, rule_files=[rules]) as prometheus:
        prometheus.wait_for('height_metres{of="door"}', 2.5)
        assert prometheus.query("1 + 1") == [({}, 2.0)]
        assert prometheus.value("absent_metres") is None
        height.labels("door").set(10.0)
        prometheus.until_scraped()
        assert prometheus.value("height_metres") == 10.0
        prometheus.wait_for("doubled", 20.0)
        prometheus.wait_for('ALERTS{alertname="TooHigh",alertstate="firing"}', 1.0)
        assert prometheus.metadata()["height_metres"]["type"] == "gauge"
        with pytest.raises(ValueError, match="parse error"):
            prometheus.query("sum(")


def test_a_configuration_that_is_refused_is_told(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text("groups: 7\n")
    with (
        pytest.raises(RuntimeError, match="unmarshal"),
        PrometheusServer(tmp_path / "prometheus", rule_files=[rules]),
    ):
        pass
