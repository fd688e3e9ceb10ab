"""Requests of ModelInfer and ModelStreamInfer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from google.protobuf.message import DecodeError

from smidgen.errors import InvalidTensorError
from smidgen_service import names
from smidgen_service.converters.heads import Heads
from smidgen_service.converters.open_inference.contents import (
    datatype_of,
    explicit_contents,
    explicit_elements,
    raw_elements,
    shape_of,
)
from smidgen_service.converters.open_inference.parameters import (
    class_count,
    refuse_shared_memory,
    timeout_s,
)
from smidgen_service.converters.open_inference.wire import only_raw_contents, split_raw_contents
from smidgen_service.converters.tensors import check_count
from smidgen_service.errors import InvalidArgumentError, NotFoundError, malformed_message
from smidgen_service.handlers.images import RawImages
from smidgen_service.handlers.inference import InferenceRequest
from smidgen_service.handlers.tensors import RawTensor
from smidgen_service.names import VersionChoice
from smidgen_service.open_inference import inference_service_pb2 as pb
from smidgen_service.wire import check_field_count

_LONG_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class RawRequest:
    """A request as it crossed the wire.

    Attributes:
        message: All of it but the raw contents.
        contents: The raw contents, as views of the received bytes.
        head_bytes: Bytes of the message.
    """

    message: pb.ModelInferRequest
    contents: Sequence[memoryview]
    head_bytes: int

    @property
    def is_long(self) -> bool:
        """Whether reading its values one by one takes longer than an event loop should wait."""
        return self.head_bytes > _LONG_BYTES


@dataclass(frozen=True, slots=True)
class InferCall:
    """A request as the handler takes it, and what the answer needs of it.

    Attributes:
        request: For the handler.
        model_name: The model.
        id: Echoed in the answer.
        timeout_s: The most that the request may wait, in seconds; None for no limit.
    """

    request: InferenceRequest
    model_name: str
    id: str
    timeout_s: float | None

    def with_values(self, data: bytes | memoryview) -> InferCall:
        """Returns the same call of one input with other values."""
        return InferCall(self.request.with_values(data), self.model_name, self.id, self.timeout_s)


class KnownCalls:
    """Calls of one input that differ from an earlier one by their raw contents alone."""

    def __init__(self) -> None:
        self._heads: Heads[InferCall] = Heads()

    def find(self, data: bytes) -> InferCall | None:
        """Returns the call that an encoded ModelInferRequest is, if one like it was remembered."""
        found = self._heads.find(data)
        return None if found is None else found[0].with_values(found[1])

    def remember(self, data: bytes, call: InferCall) -> None:
        """Notes what an encoded ModelInferRequest says.

        Those with an id are like no other one.
        """
        if len(call.request.inputs) == 1 and not call.id:
            contents = only_raw_contents(data)
            if contents is not None:
                self._heads.remember(data, *contents, call.with_values(b""))


def parse_request(data: bytes) -> RawRequest:
    """Returns a request from its bytes.

    Raises:
        InvalidArgumentError: they are no ModelInferRequest, or one of too many fields.
        TooLargeError: it is too large beside the raw contents.
    """
    head, contents = split_raw_contents(data)
    check_field_count(head, pb.ModelInferRequest.DESCRIPTOR)
    try:
        return RawRequest(pb.ModelInferRequest.FromString(head), contents, len(head))
    except DecodeError:
        raise malformed_message() from None


def infer_call(raw: RawRequest) -> InferCall:
    """Returns a request as the handler takes it.

    Raises:
        NotFoundError: the name is not one that models have.
        InvalidArgumentError: version or parameters are malformed.
        InvalidTensorError: an input is malformed, or its values are in two places or in none.
        UnsupportedRequestError: it refers to shared memory.
    """
    message = raw.message
    check_count(message.inputs, field="inputs")
    check_count(message.outputs, field="outputs")
    counts = {
        output.name: class_count(output.parameters, output.name) for output in message.outputs
    }
    for entry in message.inputs:
        refuse_shared_memory(entry.parameters, entry.name)
    _check_places(raw)
    images = _images(raw)
    return InferCall(
        request=InferenceRequest(
            model_id=model_id_of(message.model_name),
            version=version_of(message.model_version),
            inputs=_tensors(raw) if images is None else (),
            output_names=[output.name for output in message.outputs],
            images=images,
            class_counts={name: count for name, count in counts.items() if count is not None},
        ),
        model_name=message.model_name,
        id=message.id,
        timeout_s=timeout_s(message.parameters),
    )


def model_id_of(name: str) -> str:
    """Returns the id of a model that the protocol names.

    Raises:
        NotFoundError: no model has such a name.
    """
    try:
        return names.check_id(name, field="name")
    except InvalidArgumentError:
        raise NotFoundError("model", names.model_name(name[:80])) from None


def version_of(text: str) -> VersionChoice:
    """Returns the version that is meant; aliases, which Triton lacks, begin with a letter.

    Raises:
        InvalidArgumentError: it is neither a number of a version nor an id of an alias.
    """
    if not text:
        return None
    if names.is_alias_id(text):
        return text
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and int(text)):
        raise InvalidArgumentError(
            f"failed to get model version from specified version string {text[:80]!r}, version "
            "should be an integral value > 0 or the id of an alias",
            field="model_version",
            reason="INVALID_VERSION",
        )
    return int(text)


def _check_places(raw: RawRequest) -> None:
    """Checks that all values are in raw contents, or all of them in `contents`."""
    inputs = raw.message.inputs
    for entry in inputs:
        if entry.HasField("contents") and raw.contents:
            raise InvalidTensorError(
                f"input {entry.name[:80]!r} has values in contents, and the request has "
                "raw_input_contents; use one of them",
                reason="CONTENTS_AND_RAW",
                field="contents",
                tensor=entry.name[:80],
            )
        if not (entry.HasField("contents") or raw.contents):
            raise InvalidTensorError(
                f"input {entry.name[:80]!r} has no values, neither in raw_input_contents nor in "
                "contents; use one of them",
                reason="CONTENTS_MISSING",
                field="contents",
                tensor=entry.name[:80],
            )
    if raw.contents and len(raw.contents) != len(inputs):
        raise InvalidTensorError(
            f"raw_input_contents has {len(raw.contents)} entries, expected one for each of "
            f"{len(inputs)} inputs",
            reason="RAW_CONTENTS_COUNT",
            field="raw_input_contents",
            found=len(raw.contents),
            expected=len(inputs),
        )


def _images(raw: RawRequest) -> RawImages | None:
    """Returns encoded images: they are the one input of a request, and its type is BYTES."""
    inputs = raw.message.inputs
    if len(inputs) != 1 or inputs[0].datatype != "BYTES":
        return None
    entry = inputs[0]
    if raw.contents:
        return RawImages(raw_elements(entry, raw.contents[0]), None, entry.name)
    return RawImages(explicit_elements(entry, datatype_of(entry)), None, entry.name)


def _tensors(raw: RawRequest) -> tuple[RawTensor, ...]:
    tensors = []
    data: bytes | memoryview
    for index, entry in enumerate(raw.message.inputs):
        datatype, shape = datatype_of(entry), shape_of(entry)
        if raw.contents:
            data = raw.contents[index]
        elif datatype.item_bytes:
            data = explicit_contents(entry, datatype)
        else:
            data = b""  # one of several inputs: no model takes it, whatever it holds
        tensors.append(RawTensor(entry.name, datatype.dtype, shape, data))
    return tuple(tensors)
