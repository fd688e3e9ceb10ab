from __future__ import annotations

import math

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from smidgen.cli.documents import finite, to_document
from smidgen.v1 import error_pb2
from smidgen.v1 import inference_service_pb2 as inference_pb
from smidgen.v1 import job_service_pb2 as jobs_pb


def test_numbers_are_numbers_enums_names_and_times_rfc3339() -> None:
    document = to_document(
        jobs_pb.JobEvent(
            sequence=2**53,
            state=jobs_pb.JOB_STATE_RUNNING,
            time=Timestamp(seconds=1),
            task_loss=0.5,
        )
    )
    assert document["sequence"] == 2**53
    assert document["state"] == "JOB_STATE_RUNNING"
    assert document["time"] == "1970-01-01T00:00:01Z"
    assert document["task_loss"] == 0.5


def test_what_is_absent_is_left_out_and_what_is_zero_is_not() -> None:
    document = to_document(jobs_pb.JobEvent(sequence=1))
    assert "accuracy" not in document
    assert "time" not in document
    assert document["epoch"] == 0
    assert document["message"] == ""


def test_durations_are_seconds() -> None:
    assert to_document(inference_pb.InferResponse(queue_time=Duration(seconds=1, nanos=5 * 10**8)))[
        "queue_time"
    ] == (1.5)


def test_maps_and_nested_messages() -> None:
    job = jobs_pb.Job(error=error_pb2.JobError(code=3, metadata={"step": "7"}))
    assert to_document(job)["error"] == {
        "code": 3,
        "reason": "",
        "message": "",
        "metadata": {"step": "7"},
    }


def test_unknown_enum_values_stay_numbers() -> None:
    assert to_document(jobs_pb.JobEvent(state=77))["state"] == 77


def test_what_json_cannot_say_is_null() -> None:
    assert finite({"a": [math.nan, 1.0, (math.inf,)], "b": "nan"}) == {
        "a": [None, 1.0, [None]],
        "b": "nan",
    }
