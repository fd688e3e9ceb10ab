"""Raw contents beside protobuf: what is split off and put on is what protobuf would have read."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import SmidgenError
from smidgen_service.converters.open_inference.wire import (
    MOST_HEAD_BYTES,
    join_raw_contents,
    split_raw_contents,
)
from smidgen_service.errors import InvalidArgumentError, TooLargeError
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.wire import MOST_FIELDS

INPUTS = st.builds(
    pb.ModelInferRequest.InferInputTensor,
    name=st.text(max_size=5),
    datatype=st.sampled_from(["FP32", "BYTES", ""]),
    shape=st.lists(st.integers(-(2**63), 2**63 - 1), max_size=3),
)
REQUESTS = st.builds(
    pb.ModelInferRequest,
    model_name=st.text(max_size=5),
    id=st.text(max_size=3),
    inputs=st.lists(INPUTS, max_size=3),
    raw_input_contents=st.lists(st.binary(max_size=300), max_size=4),
)
RESPONSES = st.builds(
    pb.ModelInferResponse, model_name=st.text(max_size=5), id=st.text(max_size=200)
)


@settings(max_examples=100)
@given(REQUESTS, st.binary(max_size=40))
def test_split_requests_are_what_protobuf_reads(request: pb.ModelInferRequest, tail: bytes) -> None:
    encoded = request.SerializeToString()
    head, contents = split_raw_contents(encoded)
    assert [bytes(content) for content in contents] == list(request.raw_input_contents)
    parsed = pb.ModelInferRequest.FromString(head)
    assert not parsed.raw_input_contents
    parsed.raw_input_contents.extend(bytes(content) for content in contents)
    assert parsed == request
    # Fields may stand in any order, raw contents before the rest too.
    turned = b"".join(b"\x3a\x02" + pair for pair in (b"ab", b"cd")) + head
    assert [bytes(content) for content in split_raw_contents(turned)[1]] == [b"ab", b"cd"]
    assert split_raw_contents(turned)[0] == head


@settings(max_examples=300)
@given(st.binary(max_size=40))
def test_what_protobuf_refuses_is_refused(data: bytes) -> None:
    try:
        expected = pb.ModelInferRequest.FromString(data)
    except DecodeError:
        expected = None
    try:
        head, contents = split_raw_contents(data)
        found = pb.ModelInferRequest.FromString(head)
        found.raw_input_contents.extend(bytes(content) for content in contents)
    except (DecodeError, SmidgenError):
        return  # groups are refused here, which protobuf skips as unknown
    assert expected is not None
    assert found.SerializeToString() == expected.SerializeToString()


@settings(max_examples=100)
@given(RESPONSES, st.lists(st.binary(max_size=300), max_size=4))
def test_joined_answers_are_what_protobuf_writes(
    head: pb.ModelInferResponse, contents: list[bytes]
) -> None:
    expected = pb.ModelInferResponse()
    expected.CopyFrom(head)
    expected.raw_output_contents.extend(contents)
    encoded = head.SerializeToString()
    pieces = [encoded[: len(contents)], encoded[len(contents) :]]
    joined = join_raw_contents(pieces, contents, is_in_stream=False)
    assert pb.ModelInferResponse.FromString(joined) == expected
    joined = join_raw_contents(pieces, contents, is_in_stream=True)
    in_stream = pb.ModelStreamInferResponse.FromString(joined)
    assert in_stream.infer_response == expected
    assert in_stream.error_message == ""


def test_contents_are_views_of_the_message() -> None:
    encoded = pb.ModelInferRequest(raw_input_contents=[bytes(1000)]).SerializeToString()
    (content,) = split_raw_contents(encoded)[1]
    assert content.obj is encoded


def test_many_fields_are_refused_before_they_take_time() -> None:
    split_raw_contents(b"\x3a\x00" * MOST_FIELDS)
    with pytest.raises(InvalidArgumentError) as caught:
        split_raw_contents(b"\x3a\x00" * (MOST_FIELDS + 1))
    assert caught.value.reason == "TOO_MANY_TENSORS"


def test_large_messages_are_refused_but_for_raw_contents() -> None:
    large = bytes(MOST_HEAD_BYTES)
    split_raw_contents(pb.ModelInferRequest(raw_input_contents=[large]).SerializeToString())
    with pytest.raises(TooLargeError) as caught:
        split_raw_contents(pb.ModelInferRequest(id=large.decode()).SerializeToString())
    assert caught.value.reason == "CONTENTS_TOO_LARGE"
