"""Hostile calls: what they are made of, and that no wrong ending passes."""

from __future__ import annotations

import random

import grpc
import pytest

from fuzz.calls.calling import Ended, HostileCall, fault_of, hostile_call
from fuzz.calls.conversations import Grounds, ServedTensor, conversations
from fuzz.calls.methods import CalledMethod, called_methods
from smidgen.v1 import model_service_pb2
from smidgen_service.security.permissions import PERMISSIONS

METHODS = {method.path: method for method in called_methods()}
UPLOAD = METHODS["/smidgen.v1.ModelService/UploadModel"]
GET = METHODS["/smidgen.v1.ModelService/GetModel"]
SAMPLE = ServedTensor.of_ones("x", (1, 2))
GROUNDS = Grounds("net", SAMPLE, b"artifact", "float", SAMPLE, ["models/victim", "victim"])


def ended(method: CalledMethod, *arguments: object) -> str | None:
    return fault_of(HostileCall(method, [b""], is_cut_off=False), Ended(*arguments))  # type: ignore[arg-type]


def test_every_method_that_is_always_served_is_called() -> None:
    assert {path for path, method in METHODS.items() if method.is_always_served} == {
        path for path in PERMISSIONS if "reflection" not in path and not path.endswith("/List")
    }
    assert [path for path in METHODS if "/Delete" in path] == [
        path for path in list(METHODS)[-6:] if "/Delete" in path
    ]
    assert (UPLOAD.takes_stream, GET.takes_stream) == (True, False)


@pytest.mark.parametrize(
    "arguments",
    [
        (grpc.StatusCode.INTERNAL, "internal error 12", "INTERNAL"),
        (grpc.StatusCode.UNKNOWN, "", ""),
        (grpc.StatusCode.INVALID_ARGUMENT, "KeyError: 'x'", "INVALID_NAME"),
        (grpc.StatusCode.INVALID_ARGUMENT, "in /srv/smidgen/x.py", "INVALID_NAME"),
        (grpc.StatusCode.INVALID_ARGUMENT, "name is bad", ""),
        (grpc.StatusCode.INVALID_ARGUMENT, "name is bad", "a sentence"),
        (grpc.StatusCode.NOT_FOUND, "", ""),
        (grpc.StatusCode.UNIMPLEMENTED, "Method not found!", ""),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "the server's own", ""),
        (grpc.StatusCode.OK, "", "", (b"\x0a\x20internal error 12",)),
    ],
)
def test_wrong_endings_are_found(arguments: tuple[object, ...]) -> None:
    assert ended(GET, *arguments) is not None


@pytest.mark.parametrize(
    "arguments",
    [
        (grpc.StatusCode.OK,),
        (grpc.StatusCode.INVALID_ARGUMENT, "name is 'x', expected models/{model}", "INVALID_NAME"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded"),
        (grpc.StatusCode.DEADLINE_EXCEEDED, "Stream removed (Deadline Exceeded)"),
        (grpc.StatusCode.CANCELLED, "Locally cancelled by application!"),
    ],
)
def test_right_endings_pass(arguments: tuple[object, ...]) -> None:
    assert ended(GET, *arguments) is None


def test_a_recipe_is_one_call_and_recipes_are_of_all_kinds() -> None:
    good, chance = conversations(GROUNDS), random.Random(1)
    calls = []
    for _ in range(200):
        data = chance.randbytes(160)
        call = hostile_call(UPLOAD, good, GROUNDS.texts, data)
        assert call == hostile_call(UPLOAD, good, GROUNDS.texts, data)
        calls.append(call)
    assert any(call.is_cut_off for call in calls)
    assert any(not call.messages for call in calls)
    assert any(len(call.messages) > 3 for call in calls)
    parsed = [first for call in calls if (first := first_part(call)) is not None]
    assert len(parsed) < len(calls)
    assert {"header", "chunk", ""} <= set(parsed)


def first_part(call: HostileCall) -> str | None:
    """Returns which part the first message has; None where it is no message."""
    try:
        message = model_service_pb2.UploadModelRequest.FromString(call.messages[0])
    except Exception:  # of three kinds, by the version of protobuf
        return None
    return message.WhichOneof("part") or ""
