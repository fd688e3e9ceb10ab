"""ONNX models through a real server: upload, calibrate, train, convert, infer."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path

import grpc
import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper

from smidgen.v1 import model_service_pb2
from tests.service.conftest import CLASSES, SmallNet
from tests.service.running_server import RunningServer, array, ending, sha256, tensor

ONNX = model_service_pb2.MODEL_FORMAT_ONNX


def export(module: torch.nn.Module, path: Path, *shape: int) -> bytes:
    """Writes a module with a dynamic batch as an ONNX file and returns its bytes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the exporter is the older one
        torch.onnx.export(
            module.eval(),
            (torch.zeros(2, *shape),),
            path,
            input_names=["image"],
            output_names=["logits"],
            dynamic_axes={"image": {0: "batch"}},
            opset_version=17,
            dynamo=False,
        )
    return path.read_bytes()


@pytest.fixture(scope="module")
def net() -> SmallNet:
    torch.manual_seed(0)
    return SmallNet()


@pytest.fixture(scope="module")
def onnx_file(net: SmallNet, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    return export(net, tmp_path_factory.mktemp("models") / "small.onnx", 1, 8, 8)


def test_an_onnx_model_goes_all_the_way(
    server: RunningServer,
    net: SmallNet,
    onnx_file: bytes,
    dataset_file: Callable[..., bytes],
    images: np.ndarray,
    labels: np.ndarray,
) -> None:
    model = server.upload_model("small", onnx_file, format=ONNX)
    assert model.format == ONNX
    assert [(spec.name, list(spec.shape)) for spec in model.inputs] == [("image", [-1, 1, 8, 8])]
    assert [(spec.name, list(spec.shape)) for spec in model.outputs] == [("logits", [-1, CLASSES])]
    assert server.models.GetModel(model_service_pb2.GetModelRequest(name=model.name)) == model

    calibration = server.calibrate(model.name, images)
    converted = server.convert(model.name, calibration=calibration.name)
    assert converted.convert.report.parity.max_difference == 0
    logits = array(server.infer(model.name, tensor(images[:16], "image")).outputs[0])
    expected = net(torch.from_numpy(images[:16])).detach().numpy()
    spread = float(expected.max() - expected.min())
    np.testing.assert_allclose(logits, expected, atol=0.05 * spread)

    dataset = server.upload_dataset("train", dataset_file(inputs=images, labels=labels))
    job = server.wait_for(server.train(model.name, calibration.name, dataset.name).name)
    assert job.train_qat.step_count > 0
    trained = server.convert(model.name, train_job=job.name)
    assert trained.convert.model_version == "models/small/versions/2"


def test_unsupported_operators_are_all_named_and_nothing_is_stored(
    server: RunningServer, tmp_path: Path
) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 4])
    nodes = [
        helper.make_node("Det", ["x"], ["a"], name="first"),
        helper.make_node("NonZero", ["a"], ["b"], name="second"),
    ]
    y = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n", 4])
    proto = helper.make_model(
        helper.make_graph(nodes, "net", [x], [y]), opset_imports=[helper.make_opsetid("", 17)]
    )
    data = proto.SerializeToString()
    for is_check in (True, False):
        with pytest.raises(grpc.RpcError) as caught:
            server.upload_model("unsupported", data, format=ONNX, validate_only=is_check)
        code, reason = ending(caught.value)
        assert (code, reason) == (grpc.StatusCode.UNIMPLEMENTED, "UNSUPPORTED_OPERATOR")
        assert (
            "Det at first; NonZero (an order that the values decide: give all values back and sort "
            "outside) at second" in caught.value.details()
        )
    assert sha256(data) not in server.blobs()
    assert server.leftovers() == []


def test_a_valid_file_is_checked_and_not_stored(server: RunningServer, onnx_file: bytes) -> None:
    model = server.upload_model("checked", onnx_file, format=ONNX, validate_only=True)
    assert model.parameter_count == 380 - 2 * 4  # the exporter has folded the batch norm
    with pytest.raises(grpc.RpcError) as caught:
        server.models.GetModel(model_service_pb2.GetModelRequest(name="models/checked"))
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    assert server.leftovers() == []


@pytest.mark.parametrize(
    ("stated", "reason"), [(model_service_pb2.MODEL_FORMAT_PT2, "ZIP_"), (ONNX, "ONNX_")]
)
def test_a_file_of_another_format_than_stated_is_refused(
    server: RunningServer, onnx_file: bytes, model_file: bytes, stated: int, reason: str
) -> None:
    data = model_file if stated == ONNX else onnx_file
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("wrong", data, format=stated)
    code, found = ending(caught.value)
    assert code is grpc.StatusCode.INVALID_ARGUMENT
    assert found.startswith(reason)


def in_another_file(data: bytes) -> bytes:
    """Returns the model with its first weight in a file of the server's."""
    model = onnx.load_model_from_string(data)
    weight = model.graph.initializer[0]
    weight.ClearField("raw_data")
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="/etc/passwd")
    return model.SerializeToString()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (in_another_file, "ONNX_EXTERNAL_DATA"),
        (lambda data: data[: len(data) // 2], "ONNX_MALFORMED"),
        (lambda data: data + b"\xff\xff", "ONNX_MALFORMED"),
        (lambda data: bytes(64), "ONNX_MALFORMED"),
    ],
    ids=["external", "truncated", "trailing", "zeros"],
)
def test_a_hostile_file_is_refused_and_nothing_is_stored(
    server: RunningServer, onnx_file: bytes, change: Callable[[bytes], bytes], reason: str
) -> None:
    data = change(onnx_file)
    with pytest.raises(grpc.RpcError) as caught:
        server.upload_model("hostile", data, format=ONNX)
    assert ending(caught.value) == (grpc.StatusCode.INVALID_ARGUMENT, reason)
    assert "passwd" not in caught.value.details()
    assert sha256(data) not in server.blobs()
    assert server.leftovers() == []
