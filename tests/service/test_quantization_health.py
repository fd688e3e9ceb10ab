"""Requests of a real server whose quantization is looked at."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from smidgen.artifact import encode_artifact
from smidgen.v1 import model_service_pb2
from tests.python.health.doubling import SCALE, doubling_program
from tests.service.running_server import RunningServer, start_server, tensor

PATIENCE_S = 60.0
EAGER = ("--health-sample-rate", "1000", "--health-cpu-share", "1")
IMAGE, DOUBLED = "0:image", "1:doubled"
QUIET = np.full((1, 2, 6, 6), SCALE, np.float32)
LOUD = np.full((2, 2, 6, 6), 100 * SCALE, np.float32)

Numbers = Mapping[tuple[str, ...], float]


def numbers(server: RunningServer) -> Numbers:
    """Returns what health says, by metric, model and layer."""
    return {
        (
            sample.name.removeprefix("smidgen_quantization_"),
            sample.labels["model"],
            *([sample.labels["layer"]] if "layer" in sample.labels else []),
        ): sample.value
        for family in text_string_to_metric_families(server.metrics())
        for sample in family.samples
        if sample.name.startswith("smidgen_quantization_")
    }


def infer(server: RunningServer, model: str, values: np.ndarray) -> None:
    server.infer(f"models/{model}", tensor(values))


def infer_until(
    server: RunningServer, model: str, values: np.ndarray, is_seen: Callable[[Numbers], bool]
) -> Numbers:
    """Sends requests until the metrics say what is waited for, and returns them."""
    end_s = time.monotonic() + PATIENCE_S
    while not is_seen(found := numbers(server)):
        assert time.monotonic() < end_s, (found, server.log_path.read_text())
        for _ in range(20):
            infer(server, model, values)
    return found


def divergence_of_mixture(share: float) -> float:
    """Returns the Jensen-Shannon divergence, in bits, of one value from it and another one.

    Args:
        share: What the other one has of the mixture, between 0 and 1.
    """
    kept = 1 - share
    of_the_one = -math.log2(1 - share / 2)
    of_the_mixture = kept * math.log2(kept / (1 - share / 2)) + share
    return (of_the_one + of_the_mixture) / 2


@pytest.fixture(scope="module", params=[1, 2], ids=["one process", "two fronts"])
def server(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[RunningServer]:
    folder = tmp_path_factory.mktemp("health") / "store"
    running = start_server(folder, *EAGER, "--processes", str(request.param))
    try:
        yield running
    finally:
        assert running.stop() == 0


def test_drift_clipping_and_disagreement_are_seen(server: RunningServer) -> None:
    server.upload_model("double", encode_artifact(doubling_program()), is_artifact=True)

    def sampled(found: Numbers) -> float:
        return found.get(("sampled_total", "double"), 0)

    quiet = infer_until(server, "double", QUIET, lambda found: sampled(found) >= 20)
    assert quiet["drift_ratio", "double", IMAGE] < 0.01
    assert quiet["drift_ratio", "double", DOUBLED] < 0.01
    assert quiet["clipped_ratio", "double", DOUBLED] == 0.0
    assert quiet["calibration_clipped_ratio", "double", DOUBLED] == 0.0
    assert quiet["compared_total", "double"] == sampled(quiet)
    assert quiet.get(("disagreement_total", "double"), 0) == 0

    before = sampled(quiet)
    loud = infer_until(server, "double", LOUD, lambda found: sampled(found) >= 2 * before)
    # Each server process may still have had one quiet request to look at.
    loud_share = loud["disagreement_total", "double"] / sampled(loud)
    assert 0.4 < loud_share < 0.7
    drift = pytest.approx(divergence_of_mixture(loud_share), abs=0.05)
    assert loud["drift_ratio", "double", IMAGE] == drift
    assert loud["clipped_ratio", "double", IMAGE] == 0.0
    assert loud["clipped_ratio", "double", DOUBLED] == pytest.approx(loud_share, abs=0.05)
    assert set(found[2] for found in loud if len(found) == 3) == {IMAGE, DOUBLED}

    server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name="models/double"))
    assert not [name for name in numbers(server) if name[1] == "double"]


def test_versions_without_histograms_have_no_health(server: RunningServer) -> None:
    plain = encode_artifact(replace(doubling_program(), health=None))
    server.upload_model("plain", plain, is_artifact=True)
    end_s = time.monotonic() + PATIENCE_S
    while not (told := [e for e in server.logs() if e["event"] == "health_unavailable"]):
        infer(server, "plain", QUIET)
        assert time.monotonic() < end_s
    assert "no histograms of its calibration" in told[0]["error_text"]
    assert not [name for name in numbers(server) if name[1] == "plain"]


def test_health_can_be_off(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store", "--health-sample-rate", "0")
    try:
        server.upload_model("double", encode_artifact(doubling_program()), is_artifact=True)
        for _ in range(50):
            infer(server, "double", QUIET)
        assert numbers(server) == {}
    finally:
        assert server.stop() == 0
