"""Inputs of requests: raw or explicit, every type gives the array that was meant, or an error."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from smidgen.errors import InvalidTensorError, SmidgenError
from smidgen.tensor_spec import TensorSpec
from smidgen_service.converters.open_inference.datatypes import BY_NAME, TABLE
from smidgen_service.converters.open_inference.requests import (
    KnownCalls,
    infer_call,
    parse_request,
    version_of,
)
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.tensors import check_tensors
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.wire import MOST_FIELDS, with_size

NARROW = ("INT8", "INT16", "UINT8", "UINT16")
MODEL_TYPES = ("BOOL", "UINT8", "INT8", "INT32", "INT64", "FP32")


def request(datatype: str, shape: tuple[int, ...], name: str = "x") -> pb.ModelInferRequest:
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.add(name=name, datatype=datatype, shape=shape)
    return message


def call(message: pb.ModelInferRequest) -> Any:
    return call_bytes(message.SerializeToString())


def call_bytes(data: bytes) -> Any:
    return infer_call(parse_request(data))


def refusal(message: pb.ModelInferRequest) -> str:
    with pytest.raises(SmidgenError) as caught:
        call(message)
    return caught.value.reason


@pytest.mark.parametrize("datatype", MODEL_TYPES)
@settings(max_examples=30)
@given(data=st.data())
def test_raw_and_explicit_values_give_the_same_array(datatype: str, data: st.DataObject) -> None:
    entry = BY_NAME[datatype]
    shape = data.draw(arrays.array_shapes(min_dims=1, max_dims=4, max_side=4))
    array = data.draw(
        arrays.arrays(np.dtype(entry.dtype), shape, elements={"allow_nan": False})
        if datatype == "FP32"
        else arrays.arrays(np.dtype(entry.dtype), shape)
    )
    raw, explicit = request(datatype, shape), request(datatype, shape)
    raw.raw_input_contents.append(array.tobytes())
    explicit.inputs[0].contents.SetInParent()
    getattr(explicit.inputs[0].contents, entry.contents).extend(array.ravel().tolist())
    spec = TensorSpec("x", entry.dtype, (None,) * len(shape))
    for message in (raw, explicit):
        found = check_tensors(call(message).request.inputs, [spec])["x"]
        np.testing.assert_array_equal(found, array)
        assert found.dtype == array.dtype


@pytest.mark.parametrize("datatype", NARROW)
@settings(max_examples=50)
@given(value=st.integers(-(2**31), 2**31 - 1), index=st.integers(0, 2))
def test_narrow_integers_are_held_to_their_range(datatype: str, value: int, index: int) -> None:
    entry = BY_NAME[datatype]
    limits = np.iinfo(entry.dtype)
    value = abs(value) if datatype.startswith("U") else value
    values = [0, 0, 0]
    values[index] = value
    message = request(datatype, (3,))
    getattr(message.inputs[0].contents, entry.contents).extend(values)
    if limits.min <= value <= limits.max:
        (tensor,) = call(message).request.inputs
        assert np.frombuffer(tensor.data, entry.dtype).tolist() == values
    else:
        with pytest.raises(InvalidTensorError) as caught:
            call(message)
        assert caught.value.reason == "TENSOR_VALUE_INVALID"
        assert caught.value.metadata["index"] == str(index)


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=20), min_size=1, max_size=5), st.booleans())
def test_elements_of_bytes_come_back(elements: list[bytes], is_column: bool) -> None:
    shape = (len(elements), 1) if is_column else (len(elements),)
    raw, explicit = request("BYTES", shape), request("BYTES", shape)
    encoded = b"".join(len(element).to_bytes(4, "little") + element for element in elements)
    raw.raw_input_contents.append(encoded)
    explicit.inputs[0].contents.bytes_contents.extend(elements)
    for message in (raw, explicit):
        found = call(message).request
        assert [bytes(image) for image in found.images.encoded] == elements
        assert found.images.input_name == "x"
        assert found.inputs == ()
    for damaged in (encoded[:-1], encoded + b"\x00", encoded + b"\x00" * 4):
        raw.raw_input_contents[0] = damaged
        assert refusal(raw) == "BYTES_MALFORMED"


@settings(max_examples=200)
@given(st.binary(max_size=30), st.integers(1, 4))
def test_any_bytes_are_elements_or_refused(data: bytes, count: int) -> None:
    message = request("BYTES", (count,))
    message.raw_input_contents.append(data)
    try:
        found = call(message).request.images.encoded
    except InvalidTensorError as error:
        assert error.reason == "BYTES_MALFORMED"  # noqa: PT017 - either way is right
        return
    assert len(found) == count
    assert sum(len(element) + 4 for element in found) == len(data)


VALID = request("FP32", (2, 2))
VALID.raw_input_contents.append(bytes(16))
VALID.outputs.add(name="y").parameters["classification"].int64_param = 2
EXPLICIT = request("INT8", (3,))
EXPLICIT.inputs[0].contents.int_contents.extend([1, -128, 127])
PICTURES = request("BYTES", (2, 1))
PICTURES.raw_input_contents.append(b"\x01\x00\x00\x00x\x00\x00\x00\x00")


@settings(max_examples=300)
@given(
    st.sampled_from([message.SerializeToString() for message in (VALID, EXPLICIT, PICTURES)]),
    st.lists(st.tuples(st.integers(0, 200), st.integers(0, 255)), max_size=4),
    st.integers(0, 200),
)
def test_damaged_requests_are_read_or_refused(
    encoded: bytes, changes: list[tuple[int, int]], length: int
) -> None:
    damaged = bytearray(encoded[: max(length, 1)])
    for place, value in changes:
        damaged[place % len(damaged)] = value
    try:
        found = call_bytes(bytes(damaged))
    except SmidgenError as error:
        assert error.message  # noqa: PT017 - either way is right
        return
    images = found.request.images
    views = [tensor.data for tensor in found.request.inputs] + list(
        images.encoded if images else ()
    )
    assert sum(len(view) for view in views) <= len(damaged) * 4


@pytest.mark.parametrize("shape", [(), (2, 2), (0,), (-1,), (1025,), (1, 1, 2), (2**62, 1)])
def test_images_are_a_list(shape: tuple[int, ...]) -> None:
    message = request("BYTES", shape)
    message.raw_input_contents.append(b"")
    assert refusal(message) == "IMAGES_SHAPE_MISMATCH"


@pytest.mark.parametrize("datatype", [entry.name for entry in TABLE if entry.name != "BYTES"])
def test_values_in_the_field_of_another_type_are_refused(datatype: str) -> None:
    message = request(datatype, (1,))
    message.inputs[0].contents.bytes_contents.append(b"x")
    assert refusal(message) == "CONTENTS_OF_OTHER_TYPE"
    message.inputs[0].contents.Clear()
    message.inputs[0].contents.SetInParent()
    expected = "CONTENTS_OF_OTHER_TYPE" if datatype in ("FP16", "BF16") else None
    if expected is not None:
        assert refusal(message) == expected
    else:
        assert call(message).request.inputs[0].data == b""


def test_values_are_in_one_place() -> None:
    message = request("FP32", (1,))
    assert refusal(message) == "CONTENTS_MISSING"
    message.raw_input_contents.append(bytes(4))
    assert call(message).request.inputs[0].data == bytes(4)
    message.inputs[0].contents.SetInParent()
    assert refusal(message) == "CONTENTS_AND_RAW"
    message.inputs[0].ClearField("contents")
    message.raw_input_contents.append(bytes(4))
    assert refusal(message) == "RAW_CONTENTS_COUNT"


def test_limits_of_a_request() -> None:
    message = request("FP32", (1,) * 9)
    message.raw_input_contents.append(bytes(4))
    assert refusal(message) == "TOO_MANY_EXTENTS"
    message = pb.ModelInferRequest(model_name="m")
    message.inputs.extend([pb.ModelInferRequest.InferInputTensor()] * 1025)
    assert refusal(message) == "TOO_MANY_TENSORS"


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        ({"int64_param": 1500}, 0.0015),
        ({"uint64_param": 2_000_000}, 2.0),
        ({"int64_param": 0}, None),
    ],
)
def test_timeout_is_in_microseconds(parameter: dict[str, int], expected: float | None) -> None:
    message = pb.ModelInferRequest(model_name="m")
    message.parameters["timeout"].CopyFrom(pb.InferParameter(**parameter))
    assert call(message).timeout_s == expected


@pytest.mark.parametrize(
    "parameter", [{"string_param": "1"}, {"bool_param": True}, {"int64_param": -1}, {}]
)
def test_other_timeouts_are_refused(parameter: dict[str, Any]) -> None:
    message = pb.ModelInferRequest(model_name="m")
    message.parameters["timeout"].CopyFrom(pb.InferParameter(**parameter))
    assert refusal(message) == "PARAMETER_INVALID"


def test_classes_are_asked_for_by_number() -> None:
    message = pb.ModelInferRequest(model_name="m")
    message.outputs.add(name="y").parameters["classification"].int64_param = 3
    message.outputs.add(name="z")
    found = call(message).request
    assert found.output_names == ["y", "z"]
    assert found.class_counts == {"y": 3}
    message.outputs[0].parameters["classification"].int64_param = 0
    assert refusal(message) == "PARAMETER_INVALID"


@pytest.mark.parametrize(
    ("text", "version"), [("", None), ("1", 1), ("007", 7), ("999999999", 999999999)]
)
def test_versions_are_numbers(text: str, version: int | None) -> None:
    assert version_of(text) == version


@pytest.mark.parametrize("text", ["live", "b1", "shadow-2"])
def test_aliases_stand_for_versions(text: str) -> None:
    assert version_of(text) == text


@pytest.mark.parametrize("text", ["0", "-1", "1.0", "One", "1st", "one-", "²", "1 ", "1" * 10])
def test_other_versions_are_refused(text: str) -> None:
    with pytest.raises(SmidgenError) as caught:
        version_of(text)
    assert caught.value.reason == "INVALID_VERSION"


def meaning(known: KnownCalls, data: bytes) -> Any:
    """Returns what a message says with its values as bytes, or how it was refused."""
    try:
        found = known.find(data)
        if found is None:
            found = call_bytes(data)
            known.remember(data, found)
    except SmidgenError as error:
        return error.reason, error.message
    inputs = tuple(replace(tensor, data=bytes(tensor.data)) for tensor in found.request.inputs)
    return replace(found, request=replace(found.request, inputs=inputs))


@settings(max_examples=300)
@given(
    contents=st.lists(st.binary(min_size=8, max_size=8), min_size=1, max_size=2),
    request_id=st.sampled_from(["", "7"]),
    index=st.integers(0, 10_000),
    value=st.integers(0, 255),
)
def test_known_calls_mean_what_new_ones_do(
    contents: list[bytes], request_id: str, index: int, value: int
) -> None:
    message = request("FP32", (1, 2))
    message.model_name, message.id = "a-model-with-a-longer-name", request_id
    message.outputs.add(name="y").parameters["classification"].int64_param = 2
    message.parameters["timeout"].int64_param = 5_000_000
    message.raw_input_contents.extend(contents)
    data = message.SerializeToString()
    known = KnownCalls()
    meaning(known, data)
    changed = bytearray(data)
    changed[index % len(data)] = value
    assert meaning(known, bytes(changed)) == meaning(KnownCalls(), bytes(changed))


def test_a_call_of_known_form_is_not_parsed_again() -> None:
    message = request("FP32", (1, 2))
    message.model_name = "a-model-with-a-longer-name"
    message.raw_input_contents.append(b"12345678")
    known = KnownCalls()
    known.remember(message.SerializeToString(), call(message))
    message.raw_input_contents[0] = b"abcdefgh"
    data = message.SerializeToString()
    found = known.find(data)
    assert found is not None
    (tensor,) = found.request.inputs
    assert isinstance(tensor.data, memoryview)
    assert tensor.data.obj is data
    assert meaning(known, data) == meaning(KnownCalls(), data)
    # The id of a request is its own.
    message.id = "1"
    known.remember(message.SerializeToString(), call(message))
    assert known.find(message.SerializeToString()) is None


@pytest.mark.parametrize("piece", [b"\x22\x00", b"\x2a\x02\x42\x00", b"\x18\x01"])
def test_a_head_of_thousands_of_parts_is_refused_before_it_is_parsed(piece: bytes) -> None:
    # Parameters, contents and extents within one input: each costs protobuf an object.
    inner = piece * (MOST_FIELDS + 1)
    input_ = b"\x2a" + with_size(inner)
    with pytest.raises(InvalidArgumentError) as caught:
        parse_request(pb.ModelInferRequest(model_name="m").SerializeToString() + input_)
    assert caught.value.reason == "TOO_MANY_FIELDS"


def test_explicit_values_are_one_field() -> None:
    message = request("FP32", (100, 100))
    message.inputs[0].contents.fp32_contents.extend([0.5] * 10_000)
    assert message.ByteSize() > 1 << 14
    (tensor,) = call(message).request.inputs
    assert np.frombuffer(tensor.data, np.float32).tolist() == [0.5] * 10_000
