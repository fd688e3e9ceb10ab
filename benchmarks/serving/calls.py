"""Calls with encoded messages, so that the client does the same for every server."""

from __future__ import annotations

import numpy as np
from grpc import aio

from benchmarks.serving import echo
from smidgen.v1 import inference_service_pb2, tensor_pb2
from smidgen_service.open_inference import inference_service_pb2 as open_inference_pb2

INFER = "/smidgen.v1.InferenceService/Infer"
MODEL_INFER = "/inference.GRPCInferenceService/ModelInfer"
ECHO = echo.PATH

UnaryCall = aio.UnaryUnaryMultiCallable[bytes, bytes]


def infer_message(model_id: str, values: np.ndarray) -> bytes:
    """Returns an encoded Infer request of one float32 input."""
    tensor = tensor_pb2.Tensor(
        data_type=tensor_pb2.DATA_TYPE_FLOAT32, shape=values.shape, data=values.tobytes()
    )
    request = inference_service_pb2.InferRequest(name=f"models/{model_id}", inputs=[tensor])
    return request.SerializeToString()


def pixels_message(model_id: str, pixels: np.ndarray) -> bytes:
    """Returns an encoded Infer request of uint8 pixels [N, height, width, channels]."""
    tensor = tensor_pb2.Tensor(
        data_type=tensor_pb2.DATA_TYPE_UINT8, shape=pixels.shape, data=pixels.tobytes()
    )
    request = inference_service_pb2.InferRequest(name=f"models/{model_id}", pixels=tensor)
    return request.SerializeToString()


def model_infer_message(model_id: str, input_name: str, values: np.ndarray) -> bytes:
    """Returns an encoded ModelInfer request of one float32 input."""
    tensor = open_inference_pb2.ModelInferRequest.InferInputTensor(
        name=input_name, datatype="FP32", shape=values.shape
    )
    request = open_inference_pb2.ModelInferRequest(
        model_name=model_id, inputs=[tensor], raw_input_contents=[values.tobytes()]
    )
    return request.SerializeToString()
