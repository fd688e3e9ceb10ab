"""Interrupted trainings go on, across killed workers and servers, to the same bytes."""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import uuid
from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.sealed_file import read_sealed, write_sealed
from smidgen.v1 import job_service_pb2 as pb
from smidgen.v1 import model_service_pb2
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from tests.service.running_server import RunningServer, ending, start_server
from tests.service.test_restart import prepare, workers_of

SMALL = "models/small"
PRECONDITION = grpc.StatusCode.FAILED_PRECONDITION
STEPS = 480
CONFIG = optimization_pb.QATConfig(
    epochs=40,
    fine_tune_epochs=20,
    batch_size=10,
    loss=optimization_pb.LossConfig(
        features=[optimization_pb.FeatureDistance(pattern="*", weight=0.1)]
    ),
    optimizer=optimization_pb.OptimizerConfig(ema_decay=0.9),
)
FLAGS = ("--checkpoint-seconds", "0", "--job-attempts", "1")
INTERRUPTIONS = ((signal.SIGKILL, "WORKER_DIED"), (signal.SIGTERM, "JOB_INTERRUPTED"))


@pytest.fixture
def dataset(tmp_path: Path, images: np.ndarray, labels: np.ndarray) -> bytes:
    np.savez(tmp_path / "train.npz", inputs=images, labels=labels)
    return (tmp_path / "train.npz").read_bytes()


def wait_for_step(server: RunningServer, job: str, step: int) -> None:
    """Returns once a training has done so many steps."""
    for event in server.jobs.WatchJob(pb.WatchJobRequest(name=job), timeout=120):
        if event.step >= step:
            return
    raise AssertionError(f"{job} ended before step {step}")


def resume(server: RunningServer, job: str) -> pb.Job:
    return server.jobs.ResumeJob(pb.ResumeJobRequest(name=job, request_id=str(uuid.uuid4())))


def get(server: RunningServer, job: str) -> pb.Job:
    return server.jobs.GetJob(pb.GetJobRequest(name=job))


def digests(data_dir: Path) -> dict[str, str]:
    """Returns the digests of the trained weights by job."""
    connection = sqlite3.connect(data_dir / "smidgen.db")
    rows = connection.execute("SELECT id, result_sha256 FROM jobs").fetchall()
    connection.close()
    return {f"jobs/{job_id}": digest for job_id, digest in rows}


def test_killed_servers_and_workers_do_not_change_the_result(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    generator = random.Random(7)
    store = tmp_path / "store"
    server = start_server(store, *FLAGS)
    try:
        calibration = prepare(server, model_file, dataset, images)
        whole = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        assert server.wait_for(whole).train_qat.step_count == STEPS
        job = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        last = 0
        for number in range(5):
            wait_for_step(server, job, last + generator.randint(1, 50))
            if number % 2:
                (worker,) = workers_of(server.process.pid)
                kill, reason = INTERRUPTIONS[number // 2]
                os.kill(worker, kill)
                interrupted = server.wait_for(job)
                assert interrupted.error.reason == reason
            else:
                server.stop(signal.SIGKILL)
                server = start_server(store, *FLAGS)
                interrupted = get(server, job)
                assert interrupted.error.reason == "JOB_INTERRUPTED"
            assert interrupted.state == pb.JOB_STATE_INTERRUPTED
            events = list(server.jobs.WatchJob(pb.WatchJobRequest(name=job), timeout=30))
            reached = max(event.step for event in events)
            assert last < reached < STEPS
            last = reached
            assert resume(server, job).state == pb.JOB_STATE_QUEUED
        ended = server.wait_for(job)
        assert ended.state == pb.JOB_STATE_SUCCEEDED, ended.error
        assert ended.train_qat == get(server, whole).train_qat
        found = digests(store)
        assert found[job] == found[whole] is not None
        assert server.leftovers() == []
        events = list(server.jobs.WatchJob(pb.WatchJobRequest(name=job), timeout=30))
        assert [event.sequence for event in events] == list(range(1, len(events) + 1))
    finally:
        server.stop()


def test_stopped_job_keeps_its_checkpoint_until_it_is_given_up(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store")
    try:
        calibration = prepare(server, model_file, dataset, images)
        job = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        wait_for_step(server, job, 1)
        request = pb.CancelJobRequest(name=job, save_checkpoint=True)
        assert server.jobs.CancelJob(request).state == pb.JOB_STATE_CANCELLING
        stopped = server.wait_for(job)
        assert stopped.state == pb.JOB_STATE_INTERRUPTED
        assert not stopped.HasField("error")
        assert 0 < stopped.progress < 1
        checkpoint = tmp_path / "store" / "jobs" / job.removeprefix("jobs/")
        assert "training.checkpoint" in {path.name for path in checkpoint.iterdir()}
        assert server.jobs.CancelJob(request).state == pb.JOB_STATE_INTERRUPTED
        with pytest.raises(grpc.RpcError) as caught:
            server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name=SMALL))
        assert ending(caught.value) == (PRECONDITION, "MODEL_IN_USE")
        cancelled = server.jobs.CancelJob(pb.CancelJobRequest(name=job))
        assert cancelled.state == pb.JOB_STATE_CANCELLED
        assert server.leftovers() == []
        with pytest.raises(grpc.RpcError) as caught:
            resume(server, job)
        assert ending(caught.value) == (PRECONDITION, "JOB_NOT_INTERRUPTED")
        server.models.DeleteModel(model_service_pb2.DeleteModelRequest(name=SMALL))
    finally:
        server.stop()


def test_queued_job_can_be_put_aside_and_changed_surroundings_are_refused(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    store = tmp_path / "store"
    server = start_server(store, *FLAGS)
    try:
        calibration = prepare(server, model_file, dataset, images)
        running = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        queued = server.train(SMALL, calibration, "datasets/train", config=CONFIG).name
        aside = pb.CancelJobRequest(name=queued, save_checkpoint=True)
        assert server.jobs.CancelJob(aside).state == pb.JOB_STATE_INTERRUPTED
        wait_for_step(server, running, 1)
        server.stop(signal.SIGKILL)
        edit_checkpoint(store / "jobs" / running.removeprefix("jobs/") / "training.checkpoint")
        server = start_server(store, *FLAGS)
        request_id = str(uuid.uuid4())
        request = pb.ResumeJobRequest(name=running, request_id=request_id)
        assert server.jobs.ResumeJob(request).state == pb.JOB_STATE_QUEUED
        refused = server.wait_for(running)
        assert refused.state == pb.JOB_STATE_INTERRUPTED
        assert refused.error.reason == "RESUME_FINGERPRINT_MISMATCH"
        assert refused.error.code == PRECONDITION.value[0]
        assert refused.error.metadata["parts"] == "threads"
        assert server.jobs.ResumeJob(request).last_sequence == refused.last_sequence
    finally:
        server.stop()


def edit_checkpoint(path: Path) -> None:
    """Makes it the checkpoint of a training with seven threads."""
    content = read_sealed(path)
    one, seven = (rb"\"threads\": %d," % threads for threads in (1, 7))
    assert content.count(one) == 1
    write_sealed(path, content.replace(one, seven))


def test_only_interrupted_jobs_are_resumed(server: RunningServer) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        resume(server, "jobs/absent")
    assert ending(caught.value) == (grpc.StatusCode.NOT_FOUND, "JOB_NOT_FOUND")
    with pytest.raises(grpc.RpcError) as caught:
        server.jobs.ResumeJob(pb.ResumeJobRequest(name="models/small"))
    assert ending(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "INVALID_NAME")


def test_conversions_have_no_checkpoints(
    tmp_path: Path, model_file: bytes, images: np.ndarray
) -> None:
    server = start_server(tmp_path / "store", "--job-workers", "0")
    try:
        server.upload_model("small", model_file)
        calibration = server.calibrate(SMALL, images).name
        job = server.convert(SMALL, calibration=calibration, wait_s=0)
        with pytest.raises(grpc.RpcError) as caught:
            server.jobs.CancelJob(pb.CancelJobRequest(name=job.name, save_checkpoint=True))
        assert ending(caught.value) == (PRECONDITION, "JOB_HAS_NO_CHECKPOINTS")
        assert get(server, job.name).state == pb.JOB_STATE_QUEUED
    finally:
        server.stop()


def test_training_with_learned_ranges_goes_on_to_the_same_bytes(
    tmp_path: Path, model_file: bytes, dataset: bytes, images: np.ndarray
) -> None:
    observed_config, learned = optimization_pb.QATConfig(), optimization_pb.QATConfig()
    for config in (observed_config, learned):
        config.CopyFrom(CONFIG)
        config.epochs, config.fine_tune_epochs = 20, 10
    learned.activations = optimization_pb.RANGE_SOURCE_LEARNED
    store = tmp_path / "store"
    server = start_server(store, *FLAGS)
    try:
        calibration = prepare(server, model_file, dataset, images)
        observed, whole, job = (
            server.train(SMALL, calibration, "datasets/train", config=config).name
            for config in (observed_config, learned, learned)
        )
        server.wait_for(whole)
        wait_for_step(server, job, 20)
        (worker,) = workers_of(server.process.pid)
        os.kill(worker, signal.SIGKILL)
        ended = server.wait_for(job)
        assert (ended.state, ended.error.reason) == (pb.JOB_STATE_INTERRUPTED, "WORKER_DIED")
        resume(server, job)
        wait_for_step(server, job, 80)
        server.stop(signal.SIGKILL)
        server = start_server(store, *FLAGS)
        interrupted = get(server, job)
        assert interrupted.state == pb.JOB_STATE_INTERRUPTED
        assert interrupted.error.reason == "JOB_INTERRUPTED"
        resume(server, job)
        assert server.wait_for(job).state == pb.JOB_STATE_SUCCEEDED
        found = digests(store)
        assert found[job] == found[whole] != found[observed]
    finally:
        server.stop()
