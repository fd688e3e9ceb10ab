"""Requests of Infer mean the same whether they were seen before or not; answers are protobuf's."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from smidgen.errors import SmidgenError
from smidgen.v1 import inference_service_pb2 as pb
from smidgen.v1 import tensor_pb2
from smidgen_service.converters.inference import InferRequests, answer_to_bytes
from smidgen_service.converters.scalars import duration
from smidgen_service.converters.tensors import tensors_from_message
from smidgen_service.handlers.inference import InferenceAnswer, InferenceRequest
from smidgen_service.handlers.tensors import RawTensor

NAME = "models/a-model-with-a-name/versions/7"
TENSORS = st.builds(
    tensor_pb2.Tensor,
    name=st.sampled_from(["", "x"]),
    data_type=st.integers(0, 7),
    shape=st.lists(st.integers(0, 300), max_size=3),
    data=st.binary(max_size=200),
)
NAMES = st.sampled_from([NAME, "models/m", "models/M", ""])
OUTPUT_NAMES = st.lists(st.sampled_from(["y", "z"]), max_size=2)
REQUESTS = st.one_of(
    st.builds(
        pb.InferRequest,
        name=NAMES,
        inputs=st.lists(TENSORS, min_size=1, max_size=2),
        output_names=OUTPUT_NAMES,
    ),
    st.builds(
        pb.InferRequest,
        name=NAMES,
        inputs=st.lists(TENSORS, max_size=1),
        output_names=OUTPUT_NAMES,
        images=st.lists(st.binary(max_size=9), max_size=1),
        pixels=TENSORS,
    ),
)
OUTPUTS = st.builds(
    RawTensor,
    name=st.text(max_size=5),
    dtype=st.sampled_from(["float32", "uint8", "int8", "int32", "int64", "bool"]),
    shape=st.lists(st.integers(0, 1 << 40), max_size=4).map(tuple),
    data=st.binary(max_size=300),
)


def meaning(requests: InferRequests, message: bytes) -> InferenceRequest | tuple[str, str]:
    """Returns what a message says with its values as bytes, or how it was refused."""
    try:
        request = requests.read(message)
    except SmidgenError as error:
        return error.reason, error.message
    tensors = tuple(replace(tensor, data=bytes(tensor.data)) for tensor in request.inputs)
    if request.images is None or request.images.pixels is None:
        return replace(request, inputs=tensors)
    images = request.images.with_pixels(bytes(request.images.pixels.data))
    return replace(request, inputs=tensors, images=images)


def test_pixels_of_a_known_request_are_a_view_of_it() -> None:
    pixels = tensor_pb2.Tensor(
        data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[1, 1, 1, 3], data=b"abc"
    )
    message = pb.InferRequest(name=NAME, pixels=pixels)
    requests = InferRequests()
    first = requests.read(message.SerializeToString())
    message.pixels.data = b"def"
    second = requests.read(message.SerializeToString())
    assert second == first.with_values(b"def")
    assert second.images is not None
    assert second.images.pixels is not None
    assert isinstance(second.images.pixels.data, memoryview)
    assert second.images.pixels.shape == (1, 1, 1, 3)
    assert second.inputs == ()


def test_values_of_a_known_request_are_a_view_of_it() -> None:
    tensor = tensor_pb2.Tensor(
        name="x", data_type=tensor_pb2.DATA_TYPE_UINT8, shape=[3], data=b"abc"
    )
    message = pb.InferRequest(name=NAME, inputs=[tensor], output_names=["y"])
    requests = InferRequests()
    first = requests.read(message.SerializeToString())
    message.inputs[0].data = b"def"
    encoded = message.SerializeToString()
    second = requests.read(encoded)
    values = second.inputs[0].data
    assert isinstance(values, memoryview)
    assert values.obj is encoded
    assert values == b"def"
    assert second == first.with_values(b"def")
    assert (first.model_id, first.version, first.inputs[0].data) == (
        "a-model-with-a-name",
        7,
        b"abc",
    )


@settings(max_examples=300)
@given(REQUESTS, st.data())
def test_known_requests_mean_what_new_ones_do(
    request: pb.InferRequest, data: st.DataObject
) -> None:
    requests = InferRequests()
    message = request.SerializeToString()
    meaning(requests, message)
    tensor = request.pixels if request.HasField("pixels") else request.inputs[-1]
    tensor.data = data.draw(st.binary(min_size=len(tensor.data), max_size=len(tensor.data)))
    again = request.SerializeToString()
    assert meaning(requests, again) == meaning(InferRequests(), again)


@settings(max_examples=500)
@given(
    REQUESTS,
    st.integers(0, 10_000),
    st.integers(0, 255),
    st.binary(max_size=4) | st.sampled_from([b"\x0b\x0c", b"\x12\x00", b"\x22\x00"]),
)
def test_changed_requests_mean_what_new_ones_do(
    request: pb.InferRequest, index: int, value: int, tail: bytes
) -> None:
    message = request.SerializeToString() + tail
    assume(message)
    requests = InferRequests()
    meaning(requests, message)
    changed = bytearray(message)
    changed[index % len(changed)] = value
    assert meaning(requests, bytes(changed)) == meaning(InferRequests(), bytes(changed))


@settings(max_examples=100)
@given(st.lists(OUTPUTS, max_size=3), st.floats(0, 1e6), st.floats(0, 1e6), st.text(max_size=9))
def test_answers_are_what_protobuf_reads(
    outputs: list[RawTensor], queue_s: float, compute_s: float, version: str
) -> None:
    answer = InferenceAnswer(version, tuple(outputs), "avx2", queue_s, compute_s)
    message = pb.InferResponse.FromString(answer_to_bytes(answer))
    assert (message.model_version, message.isa) == (version, "avx2")
    assert tensors_from_message(message.outputs) == tuple(outputs)
    assert message.queue_time == duration(queue_s)
    assert message.compute_time == duration(compute_s)
    # Times of nothing are there as well.
    assert message.HasField("queue_time")
    assert message.HasField("compute_time")
