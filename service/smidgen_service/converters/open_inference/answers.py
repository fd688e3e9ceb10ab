"""Answers of ModelInfer and ModelStreamInfer, as bytes."""

from __future__ import annotations

from smidgen.errors import SmidgenError
from smidgen_service.converters.open_inference.datatypes import BY_DTYPE
from smidgen_service.converters.open_inference.requests import InferCall
from smidgen_service.converters.open_inference.wire import join_raw_contents
from smidgen_service.handlers.inference import InferenceAnswer
from smidgen_service.open_inference import inference_service_pb2 as pb


def answer_to_bytes(call: InferCall, answer: InferenceAnswer, *, is_in_stream: bool) -> bytes:
    """Returns an encoded ModelInferResponse, in a stream a ModelStreamInferResponse with it."""
    message = pb.ModelInferResponse(
        model_name=call.model_name,
        model_version=answer.model_version.rpartition("/")[2],
        id=call.id,
        outputs=[
            pb.ModelInferResponse.InferOutputTensor(
                name=tensor.name, datatype=BY_DTYPE[tensor.dtype].name, shape=tensor.shape
            )
            for tensor in answer.outputs
        ],
    )
    if is_in_stream:
        message.parameters["triton_final_response"].bool_param = True
    contents = [tensor.data for tensor in answer.outputs]
    return join_raw_contents(message.SerializeToString(), contents, is_in_stream=is_in_stream)


def failure_to_bytes(error: SmidgenError, request_id: str) -> bytes:
    """Returns the encoded answer of a stream to a request that failed."""
    return pb.ModelStreamInferResponse(
        error_message=error.message, infer_response=pb.ModelInferResponse(id=request_id)
    ).SerializeToString()
