"""ONNX files that are quantized already, through a real server: upload, convert, infer."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc
import numpy as np
import onnx
import pytest

from smidgen.quantized_import import import_quantized
from smidgen.v1 import (
    dataset_service_pb2,
    model_service_pb2,
    optimization_service_pb2,
    preprocessing_pb2,
)
from tests.python.formats.onnx_import.quantized_files import (
    Net,
    quantized_by_onnxruntime,
    run_onnxruntime,
)
from tests.service.running_server import RunningServer, array, ending, sha256, tensor

ONNX = model_service_pb2.MODEL_FORMAT_ONNX
QUANTIZED = model_service_pb2.MODEL_FORMAT_QUANTIZED_ONNX
INVALID, PRECONDITION = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.FAILED_PRECONDITION
SHAPE = (3, 8, 8)


def float_net(channels: int = 8) -> onnx.ModelProto:
    net = Net(*SHAPE)
    x = net.node("Relu", net.conv("x", 3, channels))
    return net.model(net.gemm(net.node("Flatten", net.conv(x, channels, 4)), 256, 5))


@pytest.fixture(scope="module", autouse=True)
def _quiet() -> Iterator[None]:
    """ONNX Runtime advises through the root logger."""
    logging.disable(logging.WARNING)
    yield
    logging.disable(logging.NOTSET)


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("quantized")
    return quantized_by_onnxruntime(float_net(), SHAPE, folder, per_channel=True)


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(16, *SHAPE)).astype(np.float32)


@pytest.fixture(scope="module")
def model(server: RunningServer, path: Path) -> str:
    return str(server.upload_model("quantized", path.read_bytes(), format=ONNX).name)


def test_a_quantized_file_is_uploaded_converted_and_served(
    server: RunningServer, path: Path, images: np.ndarray, tmp_path: Path
) -> None:
    data = path.read_bytes()
    model = server.upload_model("served", data, format=ONNX)
    assert model.format == QUANTIZED
    assert [(spec.name, list(spec.shape)) for spec in model.inputs] == [("x", [-1, *SHAPE])]
    assert model.parameter_count == 3 * 8 * 9 + 8 + 8 * 4 * 9 + 4 + 256 * 5 + 5
    assert model.latest_version == ""

    job = server.convert(model.name)
    assert job.convert.model_version == "models/served/versions/1"
    assert job.convert.report.parity.max_difference == 0
    version = server.models.GetModelVersion(
        model_service_pb2.GetModelVersionRequest(name=job.convert.model_version)
    )
    assert (version.calibration, version.train_job) == ("", "")

    found = array(server.infer(model.name, tensor(images, "x")).outputs[0])
    copy = Path(shutil.copy(path, tmp_path / "copy.onnx"))
    program = import_quantized(copy).program
    expected = run_onnxruntime(copy, images)
    step = program.tensor(program.steps[-1].input).scale  # type: ignore[union-attr]
    assert step is not None
    assert np.abs(found - expected).max() <= 1.01 * step  # a bias is rounded to the products' scale


def test_small_and_large_files_are_told_apart_alike(server: RunningServer, tmp_path: Path) -> None:
    """Large ones are read in a process of their own."""
    net = Net(*SHAPE)
    x = net.gemm(net.node("Flatten", net.conv("x", 3, 32)), 2048, 400)
    file = quantized_by_onnxruntime(net.model(x), SHAPE, tmp_path)
    assert file.stat().st_size > 512 << 10
    model = server.upload_model("large", file.read_bytes(), format=ONNX)
    assert model.format == QUANTIZED
    assert server.convert(model.name).convert.report.parity.max_difference == 0


def test_the_format_may_be_stated(server: RunningServer, path: Path) -> None:
    checked = server.upload_model("stated", path.read_bytes(), format=QUANTIZED, validate_only=True)
    assert checked.format == QUANTIZED
    plain = float_net().SerializeToString()
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("stated", plain, format=QUANTIZED)
    assert ending(caught.value) == (INVALID, "ONNX_NOT_QUANTIZED")
    assert sha256(plain) not in server.blobs()


def test_what_the_engine_cannot_compute_is_refused_when_it_is_uploaded(
    server: RunningServer, path: Path
) -> None:
    proto = onnx.load(path)
    for tensor_proto in proto.graph.initializer:
        if tensor_proto.name == "x_scale":
            scale = np.float32(1e-30).reshape(())
            tensor_proto.CopyFrom(onnx.numpy_helper.from_array(scale, "x_scale"))
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("tiny", proto.SerializeToString(), format=ONNX)
    assert ending(caught.value) == (INVALID, "ONNX_UNSUPPORTED_QUANTIZATION")
    assert "has the scale 1e-30" in caught.value.details()


def test_a_plan_says_what_convert_would_do(server: RunningServer, model: str) -> None:
    plan = server.convert(model, validate_only=True).plan
    assert plan.float_bytes == 4 * (3 * 8 * 9 + 8 + 8 * 4 * 9 + 4 + 256 * 5 + 5)
    assert {node.op for node in plan.nodes} >= {"Conv2d", "Linear"}
    assert all(node.is_quantized for node in plan.nodes)


GIVEN: dict[str, dict[str, Any]] = {
    "calibration": {"calibration": "calibrations/any"},
    "train_job": {"train_job": "jobs/any"},
    "precision": {"precision": optimization_service_pb2.ConvertRequest().precision},
    "post_training": {
        "post_training": optimization_service_pb2.PostTrainingConfig(equalize=True),
        "calibration_dataset": "datasets/any",
    },
    "evaluation_dataset": {"evaluation_dataset": "datasets/any"},
}


@pytest.mark.parametrize("field", GIVEN)
def test_nothing_that_would_change_the_scales_is_taken(
    server: RunningServer, model: str, field: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.convert(model, **GIVEN[field])
    assert ending(caught.value) == (INVALID, "MODEL_IS_QUANTIZED")
    assert f"leave {field} out" in caught.value.details()


def test_it_is_neither_calibrated_nor_trained(
    server: RunningServer,
    model: str,
    images: np.ndarray,
    dataset_file: Callable[..., bytes],
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        server.calibrate(model, images)
    assert ending(caught.value) == (PRECONDITION, "MODEL_IS_QUANTIZED")
    data = dataset_file(inputs=images, labels=np.zeros(len(images), np.int64))
    dataset: dataset_service_pb2.Dataset = server.upload_dataset("for-quantized", data)
    with pytest.raises(grpc.RpcError) as caught:
        server.train(model, "calibrations/any", dataset.name)
    assert ending(caught.value) == (PRECONDITION, "MODEL_IS_QUANTIZED")
    assert "upload the float model" in caught.value.details()


def test_how_images_are_prepared_is_recorded(server: RunningServer, model: str) -> None:
    extent = preprocessing_pb2.ImageExtent(height=8, width=8)
    preprocessing = preprocessing_pb2.Preprocessing(
        resize=extent, mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25]
    )
    job = server.convert(model, preprocessing=preprocessing)
    assert job.convert.model_version.startswith(f"{model}/versions/")
    wrong = preprocessing_pb2.Preprocessing(
        resize=extent, mean=[0.5] * 3, std=[0.25] * 3, input="other"
    )
    failed = server.convert(model, preprocessing=wrong)
    assert failed.error.reason == "PREPROCESSING_MISMATCH"
