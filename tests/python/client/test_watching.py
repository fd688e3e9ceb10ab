from __future__ import annotations

import threading

import pytest

from smidgen.client import Client, JobFailedError, RemoteError, UnavailableError
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1.error_pb2 import JobError
from tests.python.client.canned_server import CannedServer, State, train_events, train_job


def sequences(events: object) -> list[int]:
    return [event.sequence for event in events]


def test_watch_yields_stored_events_in_order(client: Client, state: State) -> None:
    assert sequences(client.watch_job("train")) == [1, 2, 3, 4, 5, 6]
    assert sequences(client.watch_job("train", after_sequence=4)) == [5, 6]
    assert state.watched_from == [0, 4]


def test_cut_watch_goes_on_without_gap_or_repetition(client: Client, state: State) -> None:
    state.break_watches_after = [2, 3]
    assert sequences(client.watch_job("train")) == [1, 2, 3, 4, 5, 6]
    assert state.watched_from == [0, 2, 5]


def test_watch_survives_a_restart_of_the_server(state: State) -> None:
    server = CannedServer(state)
    with Client(server.target) as client:
        events = client.watch_job("train")
        state.break_watches_after = [3]
        assert [next(events).sequence for _ in range(3)] == [1, 2, 3]
        server.stop()
        started: list[CannedServer] = []
        timer = threading.Timer(0.5, lambda: started.append(CannedServer(state, server.port)))
        timer.start()
        rest = sequences(events)
        timer.join()
    started[0].stop()
    assert rest == [4, 5, 6]


def test_watch_after_the_end_of_an_ended_job_is_empty(client: Client) -> None:
    assert sequences(client.watch_job("train", after_sequence=6)) == []


def test_stream_that_ends_before_the_job_is_opened_again(client: Client, state: State) -> None:
    whole = state.events["jobs/train"]
    state.events["jobs/train"] = whole[:3]
    events = client.watch_job("train")
    assert [next(events).sequence for _ in range(3)] == [1, 2, 3]
    state.events["jobs/train"] = whole
    assert sequences(events) == [4, 5, 6]


def test_watch_ends_where_a_job_was_interrupted(client: Client, state: State) -> None:
    state.jobs["jobs/train"] = train_job(jobs_pb.JOB_STATE_INTERRUPTED)
    state.events["jobs/train"] = train_events(jobs_pb.JOB_STATE_INTERRUPTED)
    assert sequences(client.watch_job("train")) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(JobFailedError, match="can be resumed") as stopped:
        client.wait_job("train")
    assert stopped.value.reason == "JOB_STOPPED"
    state.jobs["jobs/train"].error.MergeFrom(JobError(reason="WORKER_DIED", message="it died"))
    with pytest.raises(JobFailedError, match="was interrupted: it died") as killed:
        client.wait_job("train")
    assert killed.value.reason == "WORKER_DIED"
    assert killed.value.job.state == jobs_pb.JOB_STATE_INTERRUPTED


def test_watch_passes_an_interruption_that_is_over(client: Client, state: State) -> None:
    state.events["jobs/train"][2].state = jobs_pb.JOB_STATE_INTERRUPTED
    state.events["jobs/train"][3].state = jobs_pb.JOB_STATE_QUEUED
    assert sequences(client.watch_job("train")) == [1, 2, 3, 4, 5, 6]


def test_watch_of_nothing_is_refused(client: Client) -> None:
    with pytest.raises(RemoteError) as caught:
        next(client.watch_job("nothing"))
    assert caught.value.code == "NOT_FOUND"


def test_watch_of_a_server_that_never_answered_fails_at_once() -> None:
    with Client("127.0.0.1:1") as client, pytest.raises(UnavailableError):
        next(client.watch_job("train"))


def test_patience_ends(state: State) -> None:
    server = CannedServer(state)
    with Client(server.target, patience_s=0.2) as client:
        state.break_watches_after = [1]
        events = client.watch_job("train")
        assert next(events).sequence == 1
        server.stop()
        with pytest.raises(UnavailableError):
            next(events)


def test_wait_returns_the_result(client: Client, state: State) -> None:
    state.break_watches_after = [1]
    job = client.wait_job("jobs/train")
    assert job.state == jobs_pb.JOB_STATE_SUCCEEDED
    assert job.train_qat.accuracy == 0.975
