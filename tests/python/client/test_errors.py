from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from smidgen.client import (
    Client,
    DeadlineExceededError,
    JobFailedError,
    RemoteError,
    UnavailableError,
)
from smidgen.errors import SmidgenError
from smidgen.v1 import job_service_pb2 as jobs_pb
from tests.python.client.canned_server import CannedServer, State, train_events, train_job


def test_refusal_carries_code_reason_metadata_and_message(client: Client) -> None:
    with pytest.raises(RemoteError) as caught:
        client.get_model("nothing")
    error = caught.value
    assert isinstance(error, SmidgenError)
    assert (error.code, error.reason) == ("NOT_FOUND", "NOT_FOUND_HERE")
    assert error.message == str(error) == "models/nothing does not exist"
    assert error.metadata == {"name": "models/nothing"}
    assert error.retry_after_s is None
    assert error.__cause__ is None


def test_no_server_is_named_with_what_to_do() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(UnavailableError) as caught:
        client.get_model("digits")
    assert caught.value.reason == "SERVER_UNREACHABLE"
    assert "127.0.0.1:1" in caught.value.message
    assert "smidgen serve" in caught.value.message


def test_short_unavailability_is_ridden_out(client: Client, state: State) -> None:
    state.unavailable_answers = 2
    assert client.get_model("digits").parameter_count == 42
    assert state.unavailable_answers == 0


def test_lasting_unavailability_carries_the_servers_advice(client: Client, state: State) -> None:
    state.unavailable_answers = 100
    with pytest.raises(UnavailableError) as caught:
        client.get_model("digits")
    assert caught.value.reason == "SERVER_STARTING"
    assert caught.value.message == "starting"
    assert caught.value.retry_after_s == 0.25


def test_missed_deadline(server: CannedServer, state: State) -> None:
    state.hold = threading.Event()
    with Client(server.target, timeout_s=0.1) as client, pytest.raises(DeadlineExceededError) as e:
        client.get_model("digits")
    state.hold.set()
    assert e.value.code == e.value.reason == "DEADLINE_EXCEEDED"


def test_failed_job_is_an_error_with_the_jobs_reason(client: Client, state: State) -> None:
    state.jobs["jobs/train"] = train_job(jobs_pb.JOB_STATE_FAILED)
    state.events["jobs/train"] = train_events(jobs_pb.JOB_STATE_FAILED)
    with pytest.raises(JobFailedError) as caught:
        client.wait_job("train")
    assert caught.value.code == "INVALID_ARGUMENT"
    assert caught.value.reason == "TRAINING_DIVERGED"
    assert caught.value.metadata == {"step": "7"}
    assert caught.value.job.state == jobs_pb.JOB_STATE_FAILED


def test_cancelled_job_is_an_error(client: Client, state: State) -> None:
    state.jobs["jobs/train"] = train_job(jobs_pb.JOB_STATE_CANCELLED)
    state.events["jobs/train"] = train_events(jobs_pb.JOB_STATE_CANCELLED)
    with pytest.raises(JobFailedError) as caught:
        client.wait_job("train")
    assert caught.value.reason == "JOB_CANCELLED"


def test_wait_ready_waits_for_serving(client: Client, server: CannedServer) -> None:
    server.set_serving(True)
    client.wait_ready(5)


def test_wait_ready_gives_up(client: Client, server: CannedServer) -> None:
    server.set_serving(False)
    with pytest.raises(UnavailableError) as caught:
        client.wait_ready(0.05)
    assert caught.value.reason == "SERVER_NOT_READY"
    with Client("127.0.0.1:1") as nobody, pytest.raises(UnavailableError):
        nobody.wait_ready(0.05)


def test_error_while_making_batches_reaches_the_caller(client: Client, state: State) -> None:
    def batches():
        yield np.zeros((1, 4), np.float32)
        raise KeyError("no such sample")

    with pytest.raises(KeyError, match="no such sample"):
        client.calibrate("digits", batches())
    time.sleep(0.1)  # a server that took the part for the whole would have stored it by now
    assert state.calibrations == {}
