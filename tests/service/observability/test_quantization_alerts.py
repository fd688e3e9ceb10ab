"""Alerts about quantization, and a server whose digits get brighter."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from examples.digits.data import Digits, load_split
from examples.digits.model import DigitNet, export
from smidgen import pipeline
from smidgen.artifact import encode_artifact
from tests.service.observability.prometheus_server import PrometheusServer, needs_prometheus
from tests.service.running_server import RunningServer, start_server, tensor

pytestmark = needs_prometheus

RULES = Path("deploy/prometheus/quantization.rules.yml")
INPUT = "0:image"
PATIENCE_S = 60.0
DRIFT = f'smidgen_quantization_drift_ratio{{model="digits",layer="{INPUT}"}}'


@pytest.fixture(scope="module")
def digits() -> Digits:
    return load_split()


@pytest.fixture(scope="module")
def artifact(digits: Digits, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("digits") / "digits.pt2"
    torch.manual_seed(0)
    export(DigitNet().eval(), path)
    model = pipeline.load_model(path)
    profile = pipeline.calibrate(model, [{"image": digits.training_images[:256]}])
    program = pipeline.convert(model, profile).program
    assert program.health is not None
    assert program.health.watched[0].label == INPUT
    return encode_artifact(program)


@pytest.fixture
def server(tmp_path: Path, artifact: bytes) -> Iterator[RunningServer]:
    eager = ("--health-sample-rate", "1000", "--health-cpu-share", "1")
    running = start_server(tmp_path / "store", *eager)
    try:
        running.upload_model("digits", artifact, is_artifact=True)
        yield running
    finally:
        assert running.stop() == 0


def send_until(server: RunningServer, images: np.ndarray, is_seen: Callable[[], bool]) -> None:
    """Sends images, one after the other, until something is seen."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_seen():
        assert time.monotonic() < end_s
        for image in images[:100]:
            server.infer("models/digits", tensor(image[None]))


def test_brighter_digits_fire_the_alert(
    server: RunningServer, digits: Digits, tmp_path: Path
) -> None:
    rules = tmp_path / "rules.yml"
    rules.write_text(RULES.read_text().replace("for: 15m", "for: 1s"))
    clean, firing = digits.test_images, 'ALERTS{alertstate="firing",layer="0:image"}'
    with PrometheusServer(
        tmp_path / "prometheus", server.metrics_port, rule_files=[rules]
    ) as prometheus:
        send_until(server, clean, lambda: prometheus.value(DRIFT) is not None)
        drift = prometheus.value(DRIFT)
        assert drift is not None
        assert drift < 0.05
        prometheus.until_scraped()
        assert prometheus.query(firing) == []

        brighter = clean + np.float32(0.25)
        send_until(server, brighter, lambda: (prometheus.value(DRIFT) or 0.0) > 0.15)
        for name in ("SmidgenQuantizationDrift", "SmidgenQuantizationClipping"):
            prometheus.wait_for(
                f'ALERTS{{alertname="{name}",alertstate="firing",layer="{INPUT}"}}', 1.0
            )
