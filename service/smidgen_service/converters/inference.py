"""Requests and answers of Infer."""

from __future__ import annotations

from smidgen.errors import InvalidTensorError
from smidgen.v1 import inference_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.scalars import fill_duration
from smidgen_service.converters.tensors import check_count, fill_tensor, tensors_from_message
from smidgen_service.handlers.images import RawImages
from smidgen_service.handlers.inference import InferenceAnswer, InferenceRequest


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


def answer_to_message(answer: InferenceAnswer) -> pb.InferResponse:
    """Returns an answer as a message."""
    message = pb.InferResponse(model_version=answer.model_version, isa=answer.isa)
    for tensor in answer.outputs:
        fill_tensor(message.outputs.add(), tensor)
    fill_duration(message.queue_time, answer.queue_s)
    fill_duration(message.compute_time, answer.compute_s)
    return message
