"""A server to be fuzzed, with all that there may be on it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import grpc
import numpy as np
from grpc_health.v1 import health_pb2, health_pb2_grpc

from benchmarks.serving.processes import smidgen_server
from fuzz.calls.conversations import Grounds, ServedTensor
from smidgen.client import Client
from smidgen.v1 import model_service_pb2

_DATA = Path(__file__).resolve().parents[2] / "tests" / "data"
_ARTIFACT, _FLOAT = _DATA / "artifact-v4.smidgen", _DATA / "fuzz" / "conv.pt2"
_SAMPLES = 4


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """A running server.

    Attributes:
        target: Where it listens.
        log: The file of its log.
    """

    target: str
    log: Path

    def is_well(self) -> bool:
        """Tells whether it says that it serves."""
        with grpc.insecure_channel(self.target) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            found = stub.Check(health_pb2.HealthCheckRequest(), timeout=10)
        is_serving: bool = found.status == health_pb2.HealthCheckResponse.SERVING
        return is_serving

    def errors(self) -> list[str]:
        """Returns the lines of the log that tell of faults, also of calls whose clients left."""
        return [line for line in self.log.read_text().splitlines() if '"level": "error"' in line]


@contextmanager
def fuzzed_server(folder: Path) -> Iterator[Fuzzed]:
    """Runs a server with a model that computes and one of floats."""
    models = {"net": _ARTIFACT, "float": _FLOAT}
    flags = ("--stream-idle-seconds", "5", "--call-workers", "2")
    with smidgen_server(folder, models, *flags) as server:
        yield Fuzzed(server.target, folder / "server.log")


def grounds_of(target: str, folder: Path) -> Grounds:
    """Returns what calls can name, after putting back what they may have deleted.

    Args:
        target: The server.
        folder: Where a file of data is written.
    """
    with Client(target) as client:
        models = {model.name for model in client.list_models()}
        for model_id, path in (("victim", _ARTIFACT), ("victim-float", _FLOAT)):
            if f"models/{model_id}" not in models:
                client.upload_model(path, model_id)
        sample, float_sample = (_sample(client.get_model(name)) for name in ("net", "float"))
        batch = np.ones((_SAMPLES, *float_sample.shape[1:]), np.float32)
        _restore_dataset(client, folder, **{float_sample.name: batch})
        calibration = _calibration(client, batch)
        jobs = [job.name for job in itertools.islice(client.list_jobs(), 2)]
        if not jobs:
            jobs = [client.convert("float", calibration=calibration).name]
    victims = ["victim", "victim-float", "models/victim", "models/victim-float"]
    names = [*victims, "models/victim/versions/1", "datasets/data", calibration, *jobs]
    return Grounds("net", sample, _ARTIFACT.read_bytes(), "float", float_sample, names)


def _sample(model: model_service_pb2.Model) -> ServedTensor:
    (spec,) = model.inputs
    return ServedTensor.of_ones(spec.name, tuple(max(extent, 1) for extent in spec.shape))


def _restore_dataset(client: Client, folder: Path, **arrays: np.ndarray) -> None:
    if "datasets/data" not in {dataset.name for dataset in client.list_datasets()}:
        path = folder / "data.npz"
        np.savez(path, labels=np.arange(_SAMPLES) % 2, **arrays)  # type: ignore[arg-type]
        client.upload_dataset(path, "data")


def _calibration(client: Client, batch: np.ndarray) -> str:
    known = [entry.name for entry in client.list_calibrations() if entry.model == "models/float"]
    return known[0] if known else client.calibrate("float", [batch]).name
