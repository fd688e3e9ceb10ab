"""Stopping and killing the server: nothing acknowledged is lost, and every job tells the truth."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from smidgen.v1 import job_service_pb2 as pb
from smidgen.v1 import model_service_pb2, tensor_pb2
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen_service.open_inference import inference_service_pb2 as open_inference_pb
from tests.service.running_server import (
    RunningServer,
    ending,
    model_header,
    model_messages,
    start_server,
    tensor,
)
from tests.service.test_uploads import drop_stream, open_stream, wait_until

SMALL = "models/small"
MANUAL = ("--job-attempts", "1")
LONG = optimization_pb.QATConfig(epochs=10_000, fine_tune_epochs=0, batch_size=4)


def prepare(server: RunningServer, model_file: bytes, dataset: bytes, images: np.ndarray) -> str:
    server.upload_model("small", model_file)
    server.upload_dataset("train", dataset)
    return server.calibrate(SMALL, images).name


def start_training(server: RunningServer, calibration: str) -> str:
    """Starts a job and returns once it trains."""
    job = server.train(SMALL, calibration, "datasets/train", config=LONG)
    for event in server.jobs.WatchJob(pb.WatchJobRequest(name=job.name), timeout=120):
        if event.stage == pb.JOB_STAGE_QAT:
            break
    return job.name


def test_a_server_stops_though_a_run_outlasts_its_patience(
    tmp_path: Path, model_file: bytes, images: np.ndarray
) -> None:
    """It waited for ever for the end of runs that nobody took note of any more."""
    server = start_server(
        tmp_path / "store",
        *("--drain-seconds", "0.05", "--lame-duck-seconds", "0"),
        *("--max-concurrent-inferences", "1", "--isa", "portable"),
    )
    server.upload_model("small", model_file)
    calibration = server.calibrate(SMALL, images).name
    server.convert(SMALL, calibration=calibration)
    long = tensor(np.repeat(images[:1], 4000, axis=0))
    calls = [threading.Thread(target=_infer_or_fail, args=(server, long)) for _ in range(3)]
    for call in calls:
        call.start()
    wait_until(lambda: "smidgen_inflight_requests 1.0" in server.metrics())
    assert server.stop() == 0
    for call in calls:
        call.join(60)
    assert "server_stopped" in {line["event"] for line in server.logs()}


def _infer_or_fail(server: RunningServer, values: tensor_pb2.Tensor) -> None:
    with suppress(grpc.RpcError):
        server.infer(SMALL, values)


@pytest.fixture
def dataset(tmp_path: Path, images: np.ndarray, labels: np.ndarray) -> bytes:
    np.savez(tmp_path / "train.npz", inputs=images, labels=labels)
    return (tmp_path / "train.npz").read_bytes()


def test_killed_server_leaves_models_and_reports_its_jobs(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store", *MANUAL)
    calibration = prepare(server, model_file, dataset, images)
    server.convert(SMALL, calibration=calibration)
    answer = server.infer(SMALL, tensor(images[:4]))
    request_id = str(uuid.uuid4())
    header = model_header("resumed", model_file, request_id=request_id)
    assert drop_stream(server, header, model_file, sent=9000) == 9000
    running = start_training(server, calibration)
    queued = server.train(SMALL, calibration, "datasets/train").name
    workers = workers_of(server.process.pid)
    assert len(workers) == 1
    server.stop(signal.SIGKILL)
    wait_until(lambda: not any(is_alive(worker) for worker in workers))
    stale = tmp_path / "store" / "uploads" / "left-behind.tmp"
    stale.write_bytes(b"half a file")

    server = start_server(tmp_path / "store", *MANUAL)
    try:
        job = server.jobs.GetJob(pb.GetJobRequest(name=running))
        assert job.state == pb.JOB_STATE_INTERRUPTED
        assert job.error.reason == "JOB_INTERRUPTED"
        assert job.error.code == grpc.StatusCode.UNAVAILABLE.value[0]
        assert job.HasField("end_time")
        events = list(server.jobs.WatchJob(pb.WatchJobRequest(name=running), timeout=30))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
        assert events[-1].state == pb.JOB_STATE_INTERRUPTED
        assert server.wait_for(queued).state == pb.JOB_STATE_SUCCEEDED
        assert server.infer(SMALL, tensor(images[:4])).outputs == answer.outputs
        assert not stale.exists()
        assert server.models.UploadModel(model_messages(header, model_file, start=9000)).name
    finally:
        server.stop()


def test_drained_server_ends_streams_and_jobs_and_exits(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store", *MANUAL)
    calibration = prepare(server, model_file, dataset, images)
    running = start_training(server, calibration)
    workers = workers_of(server.process.pid)
    health = health_pb2_grpc.HealthStub(server.channel)
    statuses: list[int] = []
    ended = threading.Event()

    def watch_health() -> None:
        try:
            for response in health.Watch(health_pb2.HealthCheckRequest()):
                statuses.append(response.status)
        except grpc.RpcError:
            ended.set()

    threading.Thread(target=watch_health, daemon=True).start()
    wait_until(lambda: statuses == [health_pb2.HealthCheckResponse.SERVING])
    events = server.jobs.WatchJob(pb.WatchJobRequest(name=running))
    next(iter(events))
    server.process.send_signal(signal.SIGTERM)
    with pytest.raises(grpc.RpcError) as caught:
        list(events)
    assert caught.value.code() == grpc.StatusCode.UNAVAILABLE
    assert ended.wait(10)
    assert statuses[-1] == health_pb2.HealthCheckResponse.NOT_SERVING
    assert server.process.wait(timeout=60) == 0
    server.channel.close()
    assert not any(is_alive(worker) for worker in workers)
    assert not (tmp_path / "store" / "server.json").exists()
    assert [line["event"] for line in server.logs()][-1] == "server_stopped"

    server = start_server(tmp_path / "store", *MANUAL)
    try:
        job = server.jobs.GetJob(pb.GetJobRequest(name=running))
        assert (job.state, job.error.reason) == (pb.JOB_STATE_INTERRUPTED, "JOB_INTERRUPTED")
    finally:
        server.stop()


def test_killed_worker_interrupts_its_job_and_the_server_lives_on(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store", *MANUAL)
    try:
        calibration = prepare(server, model_file, dataset, images)
        running = start_training(server, calibration)
        (worker,) = workers_of(server.process.pid)
        os.kill(worker, signal.SIGKILL)
        job = server.wait_for(running)
        assert (job.state, job.error.reason) == (pb.JOB_STATE_INTERRUPTED, "WORKER_DIED")
        assert job.error.metadata["signal"] == "SIGKILL"
        assert "SIGKILL" in job.error.message
        assert server.convert(SMALL, calibration=calibration).state == pb.JOB_STATE_SUCCEEDED
        assert server.infer(SMALL, tensor(images[:1])).outputs
        assert server.leftovers() == [running.removeprefix("jobs/")]  # the worker's log
    finally:
        server.stop()


def test_second_server_on_a_data_directory_is_refused(server: RunningServer) -> None:
    command = [sys.executable, "-m", "smidgen_service", "--port", "0", "--metrics-port", "-1"]
    second = subprocess.run(
        [*command, "--data-dir", str(server.data_dir)],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    line = json.loads(second.stderr.splitlines()[-1])
    assert line["event"] == "server_refused"
    assert "another server is using" in line["error_text"]


def test_taken_port_is_refused(server: RunningServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smidgen_service", "--port", str(server.port)]
    second = subprocess.run(
        [*command, "--metrics-port", "-1", "--data-dir", str(tmp_path / "store")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    assert "cannot listen" in json.loads(second.stderr.splitlines()[-1])["error_text"]


def test_newer_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    connection = sqlite3.connect(tmp_path / "store" / "smidgen.db")
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    command = [sys.executable, "-m", "smidgen_service", "--port", "0", "--metrics-port", "0"]
    refused = subprocess.run(
        [*command, "--data-dir", str(tmp_path / "store")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert refused.returncode == 1
    lines = refused.stderr.decode().splitlines()
    assert "use a newer server" in json.loads(lines[-1])["error_text"], lines


def test_second_signal_stops_at_once(tmp_path: Path, model_file: bytes) -> None:
    server = start_server(tmp_path / "store", "--drain-seconds", "600")
    header = model_header("held", model_file, request_id=str(uuid.uuid4()))
    call, gate = open_stream(server, header, model_file, sent=1000)
    wait_until(lambda: server.leftovers() != [])
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.logs()[-1]["event"] == "server_draining")
    assert server.process.poll() is None
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(timeout=30) == 1
    gate.set()
    call.cancel()
    server.channel.close()


def ask(server: RunningServer, method: str) -> bytes:
    """Calls a method of the Open Inference Protocol that takes nothing."""
    call = server.channel.unary_unary(f"/inference.GRPCInferenceService/{method}")
    found: bytes = call(b"", timeout=10)
    return found


def repeat(call: grpc.UnaryUnaryMultiCallable[bytes, bytes]) -> None:
    while True:
        call(b"", timeout=10)


def test_a_server_that_leaves_serves_until_balancers_know(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store", "--lame-duck-seconds", "0.5")
    health = health_pb2_grpc.HealthStub(server.channel)
    statuses = health.Watch(health_pb2.HealthCheckRequest())
    assert next(statuses).status == health_pb2.HealthCheckResponse.SERVING
    server.process.send_signal(signal.SIGTERM)
    assert next(statuses).status == health_pb2.HealthCheckResponse.NOT_SERVING
    told_s = time.monotonic()
    checked = health.Check(health_pb2.HealthCheckRequest())
    assert checked.status == health_pb2.HealthCheckResponse.NOT_SERVING
    assert open_inference_pb.ServerLiveResponse.FromString(ask(server, "ServerLive")).live
    assert not open_inference_pb.ServerReadyResponse.FromString(ask(server, "ServerReady")).ready
    with grpc.insecure_channel(server.target) as late:
        call = late.unary_unary("/smidgen.v1.ModelService/ListModels")
        call(b"", timeout=10)
        with pytest.raises(grpc.RpcError) as refused:
            repeat(call)
    assert ending(refused.value) == (grpc.StatusCode.UNAVAILABLE, "SERVER_DRAINING")
    assert time.monotonic() - told_s > 0.4
    assert server.process.wait(timeout=30) == 0
    server.channel.close()
    events = [line["event"] for line in server.logs() if line["event"].startswith("server_")]
    assert events == ["server_started", "server_leaving", "server_draining", "server_stopped"]


def test_a_server_that_is_interrupted_at_a_terminal_does_not_linger(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store", "--lame-duck-seconds", "600")
    assert server.stop(signal.SIGINT) == 0


def test_a_server_that_leaves_is_stopped_by_a_second_signal(tmp_path: Path) -> None:
    server = start_server(tmp_path / "store", "--lame-duck-seconds", "600")
    server.process.send_signal(signal.SIGTERM)
    wait_until(lambda: server.logs()[-1]["event"] == "server_leaving")
    assert server.stop() == 1
    assert server.logs()[-1]["event"] == "server_killed"


@pytest.mark.parametrize(
    ("flag", "reason"),
    [("--stream-idle-seconds", "STREAM_IDLE"), ("--stream-seconds", "STREAM_TOO_LONG")],
)
def test_stream_without_end_is_ended(
    tmp_path: Path, model_file: bytes, flag: str, reason: str
) -> None:
    server = start_server(tmp_path / "store", flag, "0.2")
    try:
        header = model_header("silent", model_file)
        call, gate = open_stream(server, header, model_file, sent=1000)
        assert ending(call) == (grpc.StatusCode.DEADLINE_EXCEEDED, reason)
        gate.set()
        assert server.leftovers() == []
    finally:
        server.stop()


def test_taken_metrics_port_is_named(server: RunningServer, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smidgen_service", "--port", "0"]
    second = subprocess.run(
        [*command, "--metrics-port", str(server.port), "--data-dir", str(tmp_path / "store")],
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert second.returncode == 1
    line = json.loads(second.stderr.splitlines()[-1])
    assert f"cannot serve metrics on 127.0.0.1:{server.port}" in line["error_text"]
    assert "--metrics-port" in line["error_text"]


def test_open_address_is_refused_without_consent(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "smidgen_service", "--host", "0.0.0.0"]
    refused = subprocess.run(
        [*command, "--data-dir", str(tmp_path)], capture_output=True, timeout=60, check=False
    )
    assert refused.returncode == 2
    assert b"--insecure-bind" in refused.stderr
    assert b"Value error" not in refused.stderr


def test_uploaded_rows_survive_a_restart(tmp_path: Path, model_file: bytes) -> None:
    server = start_server(tmp_path / "store")
    stored = server.upload_model("small", model_file)
    first_page = server.models.ListModels(model_service_pb2.ListModelsRequest(page_size=1))
    assert server.stop() == 0
    server = start_server(tmp_path / "store")
    try:
        assert server.models.GetModel(model_service_pb2.GetModelRequest(name=SMALL)) == stored
        again = server.models.ListModels(model_service_pb2.ListModelsRequest(page_size=1))
        assert again == first_page
        with pytest.raises(grpc.RpcError) as caught:
            server.upload_model("small", model_file)
        assert ending(caught.value)[1] == "MODEL_ALREADY_EXISTS"
    finally:
        server.stop()


def workers_of(pid: int) -> list[int]:
    """Returns the processes that a server has started for its jobs."""
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in path.read_text().split() if _is_worker(int(child))]


def _is_worker(pid: int) -> bool:
    try:
        return b"smidgen_service.jobs.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return False


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"
