"""Half an hour of what clients do, and a server that is as large as before.

Calls that are given up are not among it: grpc itself keeps some 100 bytes of each for ever
(https://github.com/grpc/grpc/issues/43360); test_flat_resources bounds what they leave.

`SMIDGEN_SOAK_MINUTES` makes it shorter or longer; `make soak` runs it.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import numpy as np
import pytest
from google.protobuf.message import Message

from smidgen.v1 import model_service_pb2
from smidgen_service.open_inference import inference_service_pb2 as open_pb
from tests.service.running_server import RunningServer, start_server, tensor
from tests.service.test_flat_resources import MIB, Held

MINUTES = int(os.environ.get("SMIDGEN_SOAK_MINUTES", "30"))
MODEL, SERVED, OTHER = "models/small", "small", "models/minute"
OPEN = "/inference.GRPCInferenceService/"
RNG = np.random.default_rng(0)
IMAGES = RNG.normal(size=(8, 1, 8, 8)).astype(np.float32)
SETTLING_S = 1.0

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc"),
]


class Traffic:
    """Clients of a server that go on until they are told to pause, and count what they got."""

    def __init__(self, server: RunningServer, model_file: bytes) -> None:
        self._server = server
        self._model_file = model_file
        self.endings: Counter[str] = Counter()

    def for_seconds(self, seconds: float) -> None:
        """Lets all kinds of clients call at the same time, and one of them change models."""
        ends_s = time.monotonic() + seconds
        kinds: tuple[Callable[[], None], ...] = (
            self._infer,
            self._infer_openly,
            self._look_around,
            self._make_mistakes,
            self._live_a_model,
        )
        with ThreadPoolExecutor(len(kinds)) as pool:
            for outcome in [pool.submit(self._repeat, kind, ends_s) for kind in kinds]:
                outcome.result()

    def _repeat(self, kind: Callable[[], None], ends_s: float) -> None:
        while time.monotonic() < ends_s:
            kind()
            self.endings[kind.__name__] += 1

    def _infer(self) -> None:
        for count in range(1, len(IMAGES) + 1):
            answer = self._server.infer(MODEL, tensor(IMAGES[:count]))
            assert len(answer.outputs) == 1

    def _infer_openly(self) -> None:
        request = open_pb.ModelInferRequest(model_name=SERVED)
        request.inputs.add(name="image", datatype="FP32", shape=[2, 1, 8, 8])
        request.raw_input_contents.append(IMAGES[:2].tobytes())
        self._open("ModelInfer", request)
        request.id = str(time.monotonic_ns())
        self._open("ModelInfer", request)

    def _look_around(self) -> None:
        self._open("ModelMetadata", open_pb.ModelMetadataRequest(name=SERVED))
        self._open("ModelStatistics", open_pb.ModelStatisticsRequest(name=SERVED))
        self._open("RepositoryIndex", open_pb.RepositoryIndexRequest())
        self._server.models.ListModels(model_service_pb2.ListModelsRequest(), timeout=60)
        assert "smidgen_inference_requests_total" in self._server.metrics()

    def _make_mistakes(self) -> None:
        wrong = IMAGES.copy()
        wrong[0, 0, 0, 0] = np.nan
        for name, values in ((MODEL, wrong), (MODEL, IMAGES[:, :, :7]), ("models/no", IMAGES)):
            with pytest.raises(grpc.RpcError):
                self._server.infer(name, tensor(values))
        unnamed = f"models/m{time.monotonic_ns()}"  # another name each time
        with pytest.raises(grpc.RpcError):
            self._server.infer(unnamed, tensor(IMAGES))

    def _live_a_model(self) -> None:
        """A model from its upload to its end: a job, an alias, an inference."""
        server = self._server
        server.upload_model(OTHER.removeprefix("models/"), self._model_file)
        calibration = server.calibrate(OTHER, IMAGES).name
        job = server.convert(OTHER, calibration=calibration)
        version = job.convert.model_version
        alias = model_service_pb2.SetAliasRequest(
            name=f"{OTHER}/aliases/live", model_version=version
        )
        server.models.SetAlias(alias, timeout=60)
        server.infer(f"{OTHER}/aliases/live", tensor(IMAGES))
        name = OTHER.removeprefix("models/")
        unload = open_pb.RepositoryModelUnloadRequest(model_name=name)
        self._open("RepositoryModelUnload", unload)
        self._open("RepositoryModelLoad", open_pb.RepositoryModelLoadRequest(model_name=name))
        unset = model_service_pb2.DeleteAliasRequest(name=f"{OTHER}/aliases/live")
        server.models.DeleteAlias(unset, timeout=60)
        deletion = model_service_pb2.DeleteModelRequest(name=OTHER)
        server.models.DeleteModel(deletion, timeout=60)

    def _open(self, method: str, request: Message) -> None:
        self._server.channel.unary_unary(OPEN + method)(request.SerializeToString(), timeout=60)


@pytest.fixture
def server(tmp_path: Path, model_file: bytes) -> Iterator[RunningServer]:
    running = start_server(tmp_path / "store", "--log-level", "warning")
    try:
        running.upload_model(SERVED, model_file)
        calibration = running.calibrate(MODEL, IMAGES).name
        assert running.convert(MODEL, calibration=calibration).convert.model_version
        yield running
    finally:
        running.stop()


def test_a_server_is_as_large_after_half_an_hour(
    server: RunningServer, model_file: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    traffic = Traffic(server, model_file)
    held: list[Held] = []
    for minute in range(MINUTES):
        traffic.for_seconds(60)
        time.sleep(SETTLING_S)
        held.append(Held.by(server))
        with capsys.disabled():
            sys.stdout.write(f"\n{minute + 1} min: {held[-1]}, {dict(traffic.endings)}")
    third = max(1, MINUTES // 3)
    warm, last = held[third : 2 * third], held[-third:]
    grown = statistics.median(one.resident_bytes for one in last)
    grown -= statistics.median(one.resident_bytes for one in warm)
    assert grown < MIB
    assert max(one.files for one in last) <= max(one.files for one in warm)
    assert max(one.threads for one in last) <= max(one.threads for one in warm)
    assert all(traffic.endings[kind] > MINUTES for kind in ("_infer", "_infer_openly"))
    assert traffic.endings["_live_a_model"] >= MINUTES // 2
