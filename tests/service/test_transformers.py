"""An encoder with integer inputs through the service: calibrated, converted and asked."""

from __future__ import annotations

from pathlib import Path

import grpc
import numpy as np
import pytest

from smidgen.artifact import decode_artifact
from smidgen.program import interpret
from smidgen.v1 import inference_service_pb2, model_service_pb2, tensor_pb2
from tests.python.graph.transformers import INPUTS, export_encoder, token_arrays
from tests.service.running_server import RunningServer, array, ending, tensor

MODEL = "models/encoder"


def tensors(arrays: dict[str, np.ndarray]) -> list[tensor_pb2.Tensor]:
    return [tensor(values, name=name) for name, values in arrays.items()]


@pytest.fixture(scope="module")
def artifact(server: RunningServer, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = export_encoder(tmp_path_factory.mktemp("encoder") / "encoder.pt2")
    uploaded = server.upload_model("encoder", path.read_bytes())
    assert [spec.name for spec in uploaded.inputs] == list(INPUTS)
    assert {spec.data_type for spec in uploaded.inputs} == {tensor_pb2.DATA_TYPE_INT64}
    batches = [tensors(token_arrays(16, seed)) for seed in range(3)]
    calibration = server.calibrate(MODEL, *batches)
    version = server.convert(MODEL, calibration=calibration.name).convert.model_version
    request = model_service_pb2.DownloadArtifactRequest(name=version)
    return b"".join(piece.data for piece in server.models.DownloadArtifact(request))


def test_the_answer_equals_the_reference_interpreter(
    server: RunningServer, artifact: bytes
) -> None:
    arrays = token_arrays(5, 8)
    answer: inference_service_pb2.InferResponse = server.infer(MODEL, *tensors(arrays))
    expected = interpret(decode_artifact(artifact), arrays)
    for output in answer.outputs:
        np.testing.assert_array_equal(array(output), expected[output.name])


@pytest.mark.parametrize("word", [-1, 50, 2**40])
def test_ids_beyond_the_table_are_refused(
    server: RunningServer, artifact: bytes, word: int
) -> None:
    arrays = token_arrays(5, 8)
    arrays["input_ids"][1, 2] = word
    with pytest.raises(grpc.RpcError) as caught:
        server.infer(MODEL, *tensors(arrays))
    assert ending(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, "INDEX_OUT_OF_RANGE")


def test_a_dataset_of_ids_calibrates(
    server: RunningServer, artifact: bytes, tmp_path: Path
) -> None:
    np.savez(tmp_path / "tokens.npz", **token_arrays(40, 2))
    dataset = server.upload_dataset("tokens", (tmp_path / "tokens.npz").read_bytes())
    calibration = server.calibrate(MODEL, dataset=dataset.name)
    assert calibration.sample_count == 40
