"""Answers of ModelInfer and ModelStreamInfer, as bytes."""

from __future__ import annotations

from functools import lru_cache

from smidgen.errors import SmidgenError
from smidgen_service.converters.open_inference.datatypes import BY_DTYPE
from smidgen_service.converters.open_inference.requests import InferCall
from smidgen_service.converters.open_inference.wire import join_raw_contents
from smidgen_service.handlers.inference import InferenceAnswer
from smidgen_service.open_inference import inference_service_pb2 as pb


def answer_to_bytes(call: InferCall, answer: InferenceAnswer, *, is_in_stream: bool) -> bytes:
    """Returns an encoded ModelInferResponse, in a stream a ModelStreamInferResponse with it."""
    heads = [_head(call.model_name, answer.model_version.rpartition("/")[2], is_in_stream)]
    if call.id:
        heads.append(pb.ModelInferResponse(id=call.id).SerializeToString())
    heads += [_output(tensor.name, tensor.dtype, tensor.shape) for tensor in answer.outputs]
    contents = [tensor.data for tensor in answer.outputs]
    return join_raw_contents(heads, contents, is_in_stream=is_in_stream)


@lru_cache(maxsize=256)
def _head(model_name: str, model_version: str, is_in_stream: bool) -> bytes:
    message = pb.ModelInferResponse(model_name=model_name, model_version=model_version)
    if is_in_stream:
        message.parameters["triton_final_response"].bool_param = True
    return message.SerializeToString()


@lru_cache(maxsize=1024)
def _output(name: str, dtype: str, shape: tuple[int, ...]) -> bytes:
    """Returns a response that has nothing but one output: bytes of responses add up."""
    message = pb.ModelInferResponse()
    message.outputs.add(name=name, datatype=BY_DTYPE[dtype].name, shape=shape)
    return message.SerializeToString()


def failure_to_bytes(error: SmidgenError, request_id: str) -> bytes:
    """Returns the encoded answer of a stream to a request that failed."""
    return pb.ModelStreamInferResponse(
        error_message=error.message, infer_response=pb.ModelInferResponse(id=request_id)
    ).SerializeToString()
