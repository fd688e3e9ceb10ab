"""Processes of a server that end: as they should, and as they should not."""

from __future__ import annotations

import itertools
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from prometheus_client.parser import text_string_to_metric_families

from smidgen.artifact import encode_artifact
from smidgen.v1 import model_service_pb2 as pb
from tests.service.handlers.test_joining import PROGRAM
from tests.service.processes import fronts
from tests.service.running_server import (
    EVERY_CALL_LOGGED,
    RunningServer,
    model_header,
    model_messages,
    start_server,
)
from tests.service.test_rolling_restart import CALLERS, Load

FLAGS = ("--processes", "2", "--job-workers", "0", "--lame-duck-seconds", "0")
SECONDS = 60.0


def started(folder: Path, *flags: str) -> RunningServer:
    return start_server(folder / "store", *EVERY_CALL_LOGGED, *FLAGS, *flags)


def wait_until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)


def growing(server: RunningServer) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    """Returns all samples of counters and histograms."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(server.metrics())
        if family.type in ("counter", "histogram")
        for sample in family.samples
    }


def test_no_call_is_lost_with_a_front_nor_in_a_restart(tmp_path: Path) -> None:
    server = started(tmp_path)
    server.upload_model("small", encode_artifact(PROGRAM), is_artifact=True)
    load = Load(server.target)
    try:
        load.wait_for_more(10 * CALLERS)
        before = growing(server)
        first = set(fronts.pids(server))
        assert len(first) == 2
        victim = min(first)
        os.kill(victim, signal.SIGKILL)
        load.wait_for_more(10 * CALLERS)
        wait_until(lambda: any(one["event"] == "front_started" for one in server.logs()))
        second = set(fronts.pids(server))
        assert len(second - first) == 1
        assert victim not in second
        load.wait_for_more(10 * CALLERS)
        after = growing(server)
        assert {name for name in before if after[name] < before[name]} == set()
        restarts = "smidgen_process_restarts_total", ()
        assert (before[restarts], after[restarts]) == (0, 1)
        ended = next(one for one in server.logs() if one["event"] == "front_ended")
        assert (ended["cause"], ended["level"]) == ("SIGKILL", "error")
        assert server.stop() == 0
        assert not any(map(fronts.is_running, second))
        server = started(tmp_path, "--port", str(server.port))
        load.wait_for_more(10 * CALLERS)
    finally:
        load.stop()
        server.stop()
    assert not load.failures


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RunningServer]:
    running = started(tmp_path)
    yield running
    running.stop(signal.SIGKILL)


def test_fronts_end_with_a_control_process_that_is_killed(server: RunningServer) -> None:
    processes = fronts.pids(server)
    assert len(processes) == 2
    server.process.kill()
    wait_until(lambda: not any(map(fronts.is_running, processes)))


def test_a_second_signal_ends_all_processes_at_once(server: RunningServer) -> None:
    processes = fronts.pids(server)
    is_over = threading.Event()

    def messages() -> Iterator[pb.UploadModelRequest]:
        yield from itertools.islice(model_messages(model_header("m", b"xy"), b"x"), 2)
        is_over.wait(SECONDS)

    call = server.models.UploadModel.future(messages())
    wait_until(lambda: bool(server.leftovers()))
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: any(one["event"] == "server_draining" for one in server.logs()))
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(SECONDS) == 1
    wait_until(lambda: not any(map(fronts.is_running, processes)))
    is_over.set()
    with pytest.raises(grpc.RpcError):
        call.result(SECONDS)
    assert server.logs()[-1]["event"] == "server_killed"
