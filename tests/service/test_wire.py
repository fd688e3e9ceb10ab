"""What is refused of a message before protobuf parses it."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, SupportsIndex

import pytest
from google.protobuf.empty_pb2 import Empty
from google.protobuf.message import Message
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.v1 import inference_service_pb2 as pb
from smidgen.v1 import tensor_pb2
from smidgen_service import wire
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.wire import MOST_FIELDS, check_field_count, encoded, fields

TENSORS = st.builds(
    tensor_pb2.Tensor,
    name=st.text(max_size=4),
    shape=st.lists(st.integers(0, 1 << 40), max_size=3),
    data=st.binary(max_size=20),
)
REQUESTS = st.builds(
    pb.InferRequest,
    name=st.text(max_size=5),
    inputs=st.lists(TENSORS, max_size=3),
    output_names=st.lists(st.text(max_size=3), max_size=3),
    pixels=TENSORS,
)


def count_of(message: Message) -> int:
    """Returns the fields of a message on the wire, those of its parts among them."""
    count = 0
    for field, value in message.ListFields():
        is_packed = field.is_repeated and field.type == field.TYPE_INT64
        values = value if field.is_repeated and not is_packed else [value]
        count += len(values)
        if field.message_type is not None:
            count += sum(map(count_of, values))
    return count


def refused(message: bytes, kind: type[Message] = pb.InferRequest) -> InvalidArgumentError:
    with pytest.raises(InvalidArgumentError) as caught:
        check_field_count(message, kind.DESCRIPTOR)
    return caught.value


class Watched(bytes):
    """A message that knows how many of its bytes were looked at."""

    reads = 0

    def __getitem__(self, index: SupportsIndex | slice) -> Any:
        self.reads += 1
        return super().__getitem__(index)


@pytest.fixture
def strict(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "_FREE_BYTES", -1)


@settings(max_examples=100)
@given(REQUESTS)
def test_fields_are_what_protobuf_has(request: pb.InferRequest) -> None:
    message = request.SerializeToString()
    count = count_of(request)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wire, "_FREE_BYTES", -1)
        patch.setattr(wire, "MOST_FIELDS", count)
        check_field_count(message, pb.InferRequest.DESCRIPTOR)
        patch.setattr(wire, "MOST_FIELDS", count - 1)
        if count:
            assert refused(message).reason == "TOO_MANY_FIELDS"


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_what_is_read_as_fields_protobuf_reads_too(data: bytes) -> None:
    with suppress(InvalidArgumentError):
        list(fields(data))
        Empty.FromString(data)  # knows no field, so skips them all


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_written_as_they_are_read(value: int) -> None:
    message = encoded(5 << 3 | 2) + encoded(3) + b"abc" + encoded(6 << 3) + encoded(value)
    (first, second) = fields(message)
    assert message[first[2] : first[3]] == b"abc"
    assert message[second[2] : second[3]] == encoded(value)
    assert (first[0], second[0]) == (5 << 3 | 2, 6 << 3)


@pytest.mark.parametrize(
    "piece",
    [b"\x12\x00", b"\x1a\x00", b"\x22\x00", b"\x98\x06\x01", b"\x12\x02\x12\x00"],
    ids=["inputs", "names", "images", "unknown", "types"],
)
def test_many_fields_are_refused_long_before_they_are_parsed(piece: bytes) -> None:
    message = Watched(piece * ((16 << 20) // len(piece)))
    error = refused(message)
    assert message.reads <= (MOST_FIELDS + 1) * len(piece)  # of 16 million bytes
    assert (error.reason, error.metadata["most"]) == ("TOO_MANY_FIELDS", str(MOST_FIELDS))


def test_fields_of_parts_count() -> None:
    tensor = tensor_pb2.Tensor(name="x", data=b"y").SerializeToString()  # 2 fields
    whole = b"\x12" + encoded(len(tensor)) + tensor
    most = MOST_FIELDS // 3
    check_field_count(whole * most, pb.InferRequest.DESCRIPTOR)
    assert refused(whole * (most + 1)).reason == "TOO_MANY_FIELDS"
    # Of a type that has no such part, it is a field of bytes.
    check_field_count(whole * (most + 1), tensor_pb2.TensorSpec.DESCRIPTOR)


def test_large_values_are_no_many_fields(strict: None) -> None:
    request = pb.InferRequest(name="m", inputs=[tensor_pb2.Tensor(data=bytes(8 << 20))])
    check_field_count(request.SerializeToString(), pb.InferRequest.DESCRIPTOR)


@pytest.mark.parametrize(
    "message", [b"\x07", b"\x0b\x0c", b"\x12\x05ab", b"\x00\x01", b"\x80" * 11]
)
def test_what_is_no_row_of_fields_is_refused(strict: None, message: bytes) -> None:
    assert refused(message).reason == "MESSAGE_MALFORMED"
