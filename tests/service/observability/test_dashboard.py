"""The dashboard and the rules: Prometheus takes each expression, and the metrics in it exist."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import pytest

from tests.service.observability.prometheus_server import PrometheusServer, needs_prometheus
from tests.service.running_server import RunningServer, tensor

DEPLOY = Path(__file__).resolve().parents[3] / "deploy"
RULE_FILES = sorted((DEPLOY / "prometheus").glob("*.rules.yml"))
DASHBOARD: Mapping[str, Any] = json.loads((DEPLOY / "grafana" / "smidgen.json").read_text())
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]
VARIABLES = {"$__rate_interval": "5m", "$job": "smidgen", "$instance": ".*", "$model": ".*"}
_METRIC = re.compile(r"\b(?:smidgen|nv|grpc_server|process|python)[_:]\w[\w:]*|\bup\b")
_OF_LABELS = re.compile(r"by \([^)]*\)|\"[^\"]*\"")


def expressions() -> Iterator[str]:
    """Yields all expressions of the dashboard, as Grafana would send them."""
    for panel in PANELS:
        for target in panel["targets"]:
            text = target["expr"]
            for name, value in VARIABLES.items():
                text = text.replace(name, value)
            yield text


def metrics_of(expression: str) -> set[str]:
    return set(_METRIC.findall(_OF_LABELS.sub("", expression)))


@needs_prometheus
def test_expressions_name_metrics_that_exist(
    server: RunningServer, model_file: bytes, images: np.ndarray, tmp_path: Path
) -> None:
    server.upload_model("shown", model_file)
    calibration = server.calibrate("models/shown", images[:8])
    server.convert("models/shown", calibration=calibration.name)
    server.infer("models/shown", tensor(images[:3]))
    with pytest.raises(grpc.RpcError):
        server.upload_model("refused", b"nonsense")
    with PrometheusServer(tmp_path, server.metrics_port, rule_files=RULE_FILES) as prometheus:
        prometheus.wait_for("count(smidgen:event_loop_lag_seconds:p99_5m >= 0)", 1.0)
        groups = prometheus.api("rules")["groups"]
        rules = [rule for group in groups for rule in group["rules"]]
        assert {rule["health"] for rule in rules} == {"ok"}
        recorded = {rule["name"] for rule in rules}
        # Some metrics have no series before many requests were looked at; that they exist is told.
        known = set(prometheus.api("label/__name__/values")) | set(prometheus.metadata()) | recorded
        queries = [*expressions(), *(rule["query"] for rule in rules)]
        for query in queries:
            prometheus.query(query)  # which is refused if it cannot be parsed
            assert metrics_of(query), query
            assert metrics_of(query) <= known, query
        firing = prometheus.query('ALERTS{alertstate="firing",alertname!="SmidgenDiskFills"}')
        assert firing == []


def test_metrics_are_found_in_expressions() -> None:
    query = 'sum by (smidgen_label) (rate(smidgen_jobs{kind="up"}[5m])) / smidgen:a:b or 0 * up'
    assert metrics_of(query) == {"smidgen_jobs", "smidgen:a:b", "up"}


@pytest.mark.parametrize("panel", PANELS, ids=lambda panel: panel["title"])
def test_panels_are_whole(panel: Mapping[str, Any]) -> None:
    assert panel["title"]
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert all(target["legendFormat"] for target in panel["targets"])
    named = set(re.findall(r"\$\w+", "".join(target["expr"] for target in panel["targets"])))
    variables = {f"${variable['name']}" for variable in DASHBOARD["templating"]["list"]}
    assert named <= variables | {"$__rate_interval"}


def test_panels_do_not_overlap() -> None:
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        place = panel["gridPos"]
        columns = range(place["x"], place["x"] + place["w"])
        cells = set(itertools.product(columns, range(place["y"], place["y"] + place["h"])))
        assert columns.stop <= 24
        assert not taken & cells, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(set(ids)) == len(ids)


def test_rows_are_those_of_the_questions() -> None:
    rows = [panel["title"] for panel in DASHBOARD["panels"] if panel["type"] == "row"]
    assert rows == [
        *("Is it healthy", "Where time goes", "Saturation", "Jobs", "Quality", "Trust"),
    ]
