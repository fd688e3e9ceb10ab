"""Requests and answers of Infer."""

from __future__ import annotations

from contextlib import suppress
from functools import lru_cache

from google.protobuf.message import DecodeError

from smidgen.errors import InvalidTensorError
from smidgen.v1 import inference_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.heads import Heads
from smidgen_service.converters.scalars import encoded_duration
from smidgen_service.converters.tensors import check_count, tensor_head, tensors_from_message
from smidgen_service.errors import InvalidArgumentError, malformed_message
from smidgen_service.handlers.images import RawImages
from smidgen_service.handlers.inference import InferenceAnswer, InferenceRequest
from smidgen_service.wire import BYTES, check_field_count, encoded, only_field

# Of InferRequest.
_INPUTS_KEY = 2 << 3 | BYTES
_PIXELS_KEY = 5 << 3 | BYTES
_DATA_KEY = 4 << 3 | BYTES  # of Tensor
_DATA_TAG = encoded(_DATA_KEY)
# Of InferResponse.
_OUTPUTS_TAG = encoded(2 << 3 | BYTES)
_QUEUE_TIME_TAG = encoded(4 << 3 | BYTES)
_COMPUTE_TIME_TAG = encoded(5 << 3 | BYTES)


class InferRequests:
    """Reads requests of Infer, at once those that differ from an earlier one by values alone."""

    def __init__(self) -> None:
        self._heads: Heads[InferenceRequest] = Heads()

    def read(self, message: bytes) -> InferenceRequest:
        """Returns the request that an encoded message is.

        Raises:
            InvalidArgumentError: it is no message, or one of too many fields; otherwise as
                inference_request.
            InvalidTensorError: as inference_request.
        """
        found = self._heads.find(message)
        if found is not None:
            request, values = found
            return request.with_values(values)
        request = inference_request(_parsed(message))
        if len(request.inputs) == 1:
            self._remember(message, request, _INPUTS_KEY)
        elif request.images is not None and request.images.pixels is not None:
            self._remember(message, request, _PIXELS_KEY)
        return request

    def _remember(self, message: bytes, request: InferenceRequest, key: int) -> None:
        with suppress(InvalidArgumentError):  # it has groups, which protobuf skips
            tensor = only_field(message, key)
            values = None if tensor is None else only_field(message, _DATA_KEY, *tensor)
            if values is not None:
                self._heads.remember(message, *values, request.with_values(b""))


def inference_request(message: pb.InferRequest) -> InferenceRequest:
    """Returns a request.

    Raises:
        InvalidArgumentError: the name is malformed.
        InvalidTensorError: there are too many tensors, or one is malformed.
    """
    model_id, version = names.parse_model_or_version(message.name)
    check_count(message.output_names, field="output_names")
    return InferenceRequest(
        model_id=model_id,
        version=version,
        inputs=tensors_from_message(message.inputs),
        output_names=tuple(message.output_names),
        images=_images(message),
    )


def _images(message: pb.InferRequest) -> RawImages | None:
    if not message.images and not message.HasField("pixels"):
        return None
    given = [bool(message.inputs), bool(message.images), message.HasField("pixels")]
    if sum(given) > 1:
        raise InvalidTensorError(
            "more than one of inputs, images and pixels is set; send one of them",
            reason="INPUTS_AND_IMAGES",
            field="images",
        )
    check_count(message.images, field="images")
    pixels = tensors_from_message([message.pixels])[0] if message.HasField("pixels") else None
    return RawImages(tuple(message.images), pixels)


def answer_to_bytes(answer: InferenceAnswer) -> bytes:
    """Returns an encoded InferResponse; its fields may stand in any order."""
    pieces: list[bytes | memoryview] = [
        _answer_head(answer.model_version, answer.isa),
        _QUEUE_TIME_TAG,
        encoded_duration(answer.queue_s),
        _COMPUTE_TIME_TAG,
        encoded_duration(answer.compute_s),
    ]
    for tensor in answer.outputs:
        data = tensor.data
        pieces += (_output_head(tensor.name, tensor.dtype, tensor.shape, len(data)), data)
    return b"".join(pieces)


@lru_cache(maxsize=1024)
def _output_head(name: str, dtype: str, shape: tuple[int, ...], data_bytes: int) -> bytes:
    """Returns an output of an encoded answer up to the values of its tensor."""
    head = tensor_head(name, dtype, shape) + _DATA_TAG + encoded(data_bytes)
    return _OUTPUTS_TAG + encoded(len(head) + data_bytes) + head


@lru_cache(maxsize=256)
def _answer_head(model_version: str, isa: str) -> bytes:
    return pb.InferResponse(model_version=model_version, isa=isa).SerializeToString()


def _parsed(data: bytes) -> pb.InferRequest:
    check_field_count(data, pb.InferRequest.DESCRIPTOR)
    try:
        return pb.InferRequest.FromString(data)
    except DecodeError:
        raise malformed_message() from None
