"""What well-behaved clients say: where the hostile ones begin, so that they get past the door."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

from fuzz.calls.methods import called_methods
from smidgen.v1 import (
    dataset_service_pb2,
    inference_service_pb2,
    model_service_pb2,
    optimization_service_pb2,
    tensor_pb2,
    upload_pb2,
)
from smidgen_service.open_inference import inference_service_pb2 as open_inference_pb2

Conversation = Sequence[Message]


@dataclass(frozen=True, slots=True)
class ServedTensor:
    """An input of one float32 sample as a model takes it."""

    name: str
    shape: tuple[int, ...]
    data: bytes

    @classmethod
    def of_ones(cls, name: str, shape: tuple[int, ...]) -> ServedTensor:
        """Returns a sample in which every value is 1."""
        return cls(name, shape, np.ones(shape, np.float32).tobytes())


@dataclass(frozen=True, slots=True)
class Grounds:
    """What there is on the server that hostile calls can name.

    Attributes:
        artifact_id: A model that computes.
        sample: What it takes.
        artifact: The file of such a model.
        float_id: A model of floats; the artifact's where there is none.
        float_sample: What that one takes.
        names: Of resources that calls may delete, and their ids.
    """

    artifact_id: str
    sample: ServedTensor
    artifact: bytes
    float_id: str
    float_sample: ServedTensor
    names: Sequence[str] = field(default_factory=tuple)

    @property
    def texts(self) -> list[str]:
        """All that a text may be to mean something."""
        return [self.sample.name, self.float_sample.name, "FP32", "BYTES", "1", *self.names]

    def of_kind(self, collection: str) -> str:
        """Returns a resource of a collection, or a name that none has."""
        return next((n for n in self.names if n.startswith(collection)), f"{collection}/none")


def conversations(grounds: Grounds) -> Mapping[str, Conversation]:
    """Returns one conversation for each method that needs more than a name."""
    optimization = "/smidgen.v1.OptimizationService/"
    infer = _model_infer(grounds)
    return {
        **_named(grounds),
        "/smidgen.v1.ModelService/UploadModel": _upload_model(grounds),
        "/smidgen.v1.DatasetService/UploadDataset": _upload_dataset(),
        f"{optimization}Calibrate": _calibrate(grounds),
        f"{optimization}TrainQAT": [_train(grounds)],
        f"{optimization}Convert": [_convert(grounds)],
        "/smidgen.v1.InferenceService/Infer": [_infer(grounds)],
        "/inference.GRPCInferenceService/ModelInfer": [infer],
        "/inference.GRPCInferenceService/ModelStreamInfer": [infer, infer, infer],
    }


def _named(grounds: Grounds) -> Mapping[str, Conversation]:
    """Returns requests that name one thing, for all methods that take such."""
    model, version = grounds.of_kind("models"), f"{grounds.of_kind('models')}/versions/1"
    fields = {
        "ModelService": {"name": model, "parent": model},
        "DatasetService": {"name": grounds.of_kind("datasets")},
        "OptimizationService": {"name": grounds.of_kind("calibrations")},
        "JobService": {"name": grounds.of_kind("jobs")},
        "ReportService": {"name": grounds.of_kind("jobs")},
        "GRPCInferenceService": dict.fromkeys(("name", "model_name"), model.partition("/")[2]),
    }
    found: dict[str, Conversation] = {}
    for method in called_methods():
        service, name = method.path.rpartition(".")[2].split("/")
        known = method.request.fields_by_name
        given = {key: text for key, text in fields.get(service, {}).items() if key in known}
        if name.endswith(("ModelVersion", "Artifact")):
            given["name"] = version
        if given and not method.takes_stream:
            found[method.path] = [GetMessageClass(method.request)(**given)]
    return found


def _tensor(sample: ServedTensor) -> tensor_pb2.Tensor:
    return tensor_pb2.Tensor(
        name=sample.name,
        data_type=tensor_pb2.DATA_TYPE_FLOAT32,
        shape=sample.shape,
        data=sample.data,
    )


def _infer(grounds: Grounds) -> Message:
    return inference_service_pb2.InferRequest(
        name=f"models/{grounds.artifact_id}", inputs=[_tensor(grounds.sample)]
    )


def _model_infer(grounds: Grounds) -> Message:
    sample = grounds.sample
    entry = open_inference_pb2.ModelInferRequest.InferInputTensor(
        name=sample.name, datatype="FP32", shape=sample.shape
    )
    return open_inference_pb2.ModelInferRequest(
        model_name=grounds.artifact_id, inputs=[entry], raw_input_contents=[sample.data]
    )


def _upload_model(grounds: Grounds) -> Conversation:
    header = model_service_pb2.UploadModelHeader(
        model_id="uploaded",
        format=model_service_pb2.MODEL_FORMAT_ARTIFACT,
        total_bytes=len(grounds.artifact),
        sha256=hashlib.sha256(grounds.artifact).hexdigest(),
    )
    half = len(grounds.artifact) // 2
    chunks = [
        upload_pb2.UploadChunk(offset=0, data=grounds.artifact[:half]),
        upload_pb2.UploadChunk(offset=half, data=grounds.artifact[half:]),
    ]
    request = model_service_pb2.UploadModelRequest
    return [request(header=header), *(request(chunk=chunk) for chunk in chunks)]


def _upload_dataset() -> Conversation:
    data = b"PK\x05\x06" + bytes(18)  # a zip archive of nothing
    header = dataset_service_pb2.UploadDatasetHeader(
        dataset_id="uploaded",
        format=dataset_service_pb2.DATASET_FORMAT_NPZ,
        total_bytes=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
    )
    request = dataset_service_pb2.UploadDatasetRequest
    return [request(header=header), request(chunk=upload_pb2.UploadChunk(data=data))]


def _calibrate(grounds: Grounds) -> Conversation:
    header = optimization_service_pb2.CalibrateHeader(model=f"models/{grounds.float_id}")
    batch = optimization_service_pb2.CalibrationBatch(inputs=[_tensor(grounds.float_sample)])
    request = optimization_service_pb2.CalibrateRequest
    return [request(header=header), request(batch=batch), request(batch=batch)]


def _train(grounds: Grounds) -> Message:
    return optimization_service_pb2.TrainQATRequest(
        name=f"models/{grounds.float_id}",
        calibration=grounds.of_kind("calibrations"),
        dataset=grounds.of_kind("datasets"),
        config=optimization_service_pb2.QATConfig(epochs=1),
    )


def _convert(grounds: Grounds) -> Message:
    return optimization_service_pb2.ConvertRequest(
        name=f"models/{grounds.float_id}", calibration=grounds.of_kind("calibrations")
    )
