"""Jobs that lose their worker or their server are begun again, and end once."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.v1 import job_service_pb2 as pb
from tests.service.running_server import RunningServer, ending, start_server
from tests.service.test_restart import is_alive, prepare, workers_of
from tests.service.test_resuming import CONFIG, STEPS
from tests.service.test_uploads import wait_until

SMALL = "models/small"
SILENCE_S = 8
FLAGS = ("--checkpoint-seconds", "0", "--worker-silence-seconds", str(SILENCE_S))


@pytest.fixture
def dataset(tmp_path: Path, images: np.ndarray, labels: np.ndarray) -> bytes:
    np.savez(tmp_path / "train.npz", inputs=images, labels=labels)
    return (tmp_path / "train.npz").read_bytes()


def wait_for_attempt(server: RunningServer, job: str, attempt: int) -> None:
    """Returns once an attempt has trained for some steps."""
    queued = 0
    for event in server.jobs.WatchJob(pb.WatchJobRequest(name=job), timeout=120):
        queued += event.state == pb.JOB_STATE_QUEUED
        if queued >= attempt and event.step:
            return
    raise AssertionError(f"{job} ended before attempt {attempt}")


def events(server: RunningServer, job: str) -> list[pb.JobEvent]:
    return list(server.jobs.WatchJob(pb.WatchJobRequest(name=job), timeout=60))


def test_training_outlives_a_stopped_worker_and_two_servers(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    store = tmp_path / "store"
    server = start_server(store, *FLAGS)
    try:
        calibration = prepare(server, model_file, dataset, images)
        job = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        wait_for_attempt(server, job, 1)
        (zombie,) = workers_of(server.process.pid)
        os.kill(zombie, signal.SIGSTOP)
        wait_for_attempt(server, job, 2)
        assert not is_alive(zombie)
        server.stop(signal.SIGKILL)
        server = start_server(store, *FLAGS)
        wait_for_attempt(server, job, 3)
        assert server.stop() == 0
        server = start_server(store, *FLAGS)
        ended = server.wait_for(job)
        assert ended.state == pb.JOB_STATE_SUCCEEDED, ended.error
        assert ended.train_qat.step_count == STEPS
        told = events(server, job)
        assert [event.sequence for event in told] == list(range(1, len(told) + 1))
        assert [event.state for event in told].count(pb.JOB_STATE_SUCCEEDED) == 1
        messages = [event.message for event in told if event.state == pb.JOB_STATE_QUEUED]
        assert len(messages) >= 4
        assert f"not been heard of for {SILENCE_S} s" in messages[1]
        assert server.leftovers() == []
    finally:
        server.stop()


def test_conversion_whose_worker_always_dies_has_failed_after_three_attempts(
    tmp_path: Path, model_file: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store")
    try:
        server.upload_model("small", model_file)
        calibration = server.calibrate(SMALL, images).name
        job = server.convert(SMALL, calibration=calibration, wait_s=0).name
        killed: set[int] = set()
        for attempt in (1, 2, 3):
            begun = 0
            for event in server.jobs.WatchJob(pb.WatchJobRequest(name=job), timeout=120):
                # The claim of each attempt is an event; its process starts a moment later.
                begun += event.stage == pb.JOB_STAGE_LOAD
                if begun == attempt:
                    break
            wait_until(lambda: bool(set(workers_of(server.process.pid)) - killed))
            (worker,) = set(workers_of(server.process.pid)) - killed
            killed.add(worker)
            os.kill(worker, signal.SIGKILL)
        failed = server.wait_for(job)
        assert (failed.state, failed.error.reason) == (pb.JOB_STATE_FAILED, "WORKER_DIED")
        stages = [event.stage for event in events(server, job)]
        assert stages.count(pb.JOB_STAGE_LOAD) == 3
        server.jobs.DeleteJob(pb.DeleteJobRequest(name=job))
        with pytest.raises(grpc.RpcError) as caught:
            server.jobs.GetJob(pb.GetJobRequest(name=job))
        assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
        assert server.leftovers() == []
        # The job is the poison, not the server.
        assert server.convert(SMALL, calibration=calibration).state == pb.JOB_STATE_SUCCEEDED
    finally:
        server.stop()
