"""Float models exported to ONNX compute in ONNX Runtime what the torch graph computes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import onnxruntime
import pytest
import torch
from onnx import ModelProto
from torch import nn
from torch.nn import functional as F

from smidgen.formats.onnx_export import export_float_onnx, read_metadata
from smidgen.formats.onnx_export.float_rules import FLOAT_RULES
from smidgen.formats.onnx_import import read_onnx
from smidgen.formats.pt2 import read_pt2
from smidgen.graph.build import build_graph
from smidgen.graph.exported import ExportedModel
from smidgen.graph.operations import Operation, Quantized, Tabulated
from tests.python.formats.onnx_export.onnx_sessions import WARNINGS
from tests.python.formats.pt2_files import export
from tests.python.graph.networks import NETWORKS, randomize
from tests.python.graph.test_operator_forms import FORMS, LAYERS, Functions
from tests.python.graph.transformers import export_encoder, token_arrays

TOLERANCE = 1e-4


def run(model: ModelProto, inputs: dict[str, np.ndarray]) -> list[np.ndarray]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = WARNINGS
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [np.asarray(value) for value in session.run(None, inputs)]


def compare(model: ExportedModel, *samples: torch.Tensor) -> None:
    """Compares all outputs, for a batch of another size than the one that was exported with."""
    names = [spec.name for spec in model.inputs]
    inputs = {name: x.numpy() for name, x in zip(names, samples, strict=True)}
    found = run(export_float_onnx(model), inputs)
    with torch.no_grad():
        expected = build_graph(model)(*samples)
    wanted = (expected,) if isinstance(expected, torch.Tensor) else expected
    for spec, ours, theirs in zip(model.outputs, found, wanted, strict=True):
        assert ours.dtype.name == spec.dtype, spec.name
        np.testing.assert_allclose(
            ours, theirs.numpy(), rtol=TOLERANCE, atol=TOLERANCE, err_msg=spec.name
        )


def many(table: Mapping[str, Any], path: Path) -> ExportedModel:
    """Returns one model with an output for each entry of a table of functions, or of layers."""
    keys = {name: "_".join(("f", *name.split())) for name in table}
    parts = {keys[name]: entry[1] for name, entry in table.items() if table is LAYERS}
    functions = {keys[name]: entry[0] for name, entry in table.items()}
    module = Functions(functions, parts).eval()
    return read_pt2(export(path, module, torch.randn(2, 4, 8, 8)))


def kinds(model: ExportedModel) -> set[type[Any]]:
    return {type(node.operation) for node in model.nodes}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ExportedModel]:
    folder = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    return {
        "forms": many(FORMS, folder / "forms.pt2"),
        "layers": many(LAYERS, folder / "layers.pt2"),
        "more": read_pt2(export(folder / "more.pt2", More().eval(), torch.randn(2, 4, 9, 7))),
    }


class More(nn.Module):
    """What the tables and the nets do not have."""

    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4, affine=False)
        self.layer = nn.Linear(7, 5)
        self.scale = nn.LayerNorm(7, bias=False)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = self.scale(x)
        return {
            "same": rows,
            "again": rows,
            "norm": self.norm(x),
            "product": self.layer(x),
            "summed": F.avg_pool2d(x, 3, 2, 1, ceil_mode=True),
            "counted": F.avg_pool2d(x, 3, 2, 1, ceil_mode=True, count_include_pad=False),
            "greatest": F.max_pool2d(x, 3, 2, 1, ceil_mode=True),
            "causal": F.scaled_dot_product_attention(rows, rows, rows, is_causal=True),
            "logarithm": F.log_softmax(x, 1),
            "place": x.argmax(1),
            "differs": torch.where(x != x.abs(), x, F.elu(x, 0.5)),
        }


@pytest.mark.parametrize("name", NETWORKS)
def test_a_net_computes_the_same(name: str, tmp_path: Path) -> None:
    net, shape = NETWORKS[name]
    torch.manual_seed(0)
    path = export(tmp_path / "m.pt2", randomize(net()).eval(), torch.zeros(2, *shape))
    compare(read_pt2(path), torch.randn(3, *shape))


@pytest.mark.parametrize(
    ("name", "shape"), [("forms", (4, 8, 8)), ("layers", (4, 8, 8)), ("more", (4, 9, 7))]
)
def test_every_form_of_an_operator_computes_the_same(
    name: str, shape: tuple[int, ...], models: dict[str, ExportedModel]
) -> None:
    torch.manual_seed(1)
    compare(models[name], torch.randn(3, *shape))


@pytest.mark.parametrize("written_out", [False, True])
def test_an_encoder_computes_the_same(written_out: bool, tmp_path: Path) -> None:
    model = read_pt2(export_encoder(tmp_path / "m.pt2", written_out=written_out))
    compare(model, *(torch.from_numpy(array) for array in token_arrays(3, seed=1).values()))


def test_the_models_of_these_tests_have_every_kind_of_operation(
    models: dict[str, ExportedModel], tmp_path: Path
) -> None:
    found = set().union(*(kinds(model) for model in models.values()))
    found |= kinds(read_pt2(export_encoder(tmp_path / "encoder.pt2")))
    for net, shape in NETWORKS.values():
        path = export(tmp_path / "m.pt2", net().eval(), torch.zeros(2, *shape))
        found |= kinds(read_pt2(path))
    # Quantized files alone have these two; no float model does.
    assert set(get_args(Operation)) - {Quantized, Tabulated} == FLOAT_RULES.keys()
    assert FLOAT_RULES.keys() - found == set()


def test_an_input_that_is_an_output_is_copied(models: dict[str, ExportedModel]) -> None:
    model = dataclasses.replace(
        models["more"], outputs=models["more"].inputs, output_values=(0,), nodes=()
    )
    exported = export_float_onnx(model)
    (name,) = (spec.name for spec in model.inputs)
    x = np.random.default_rng(0).normal(size=(2, 4, 9, 7)).astype(np.float32)
    np.testing.assert_array_equal(run(exported, {name: x})[0], x)
    assert exported.graph.output[0].name != name


def test_what_is_exported_can_be_imported_again(tmp_path: Path) -> None:
    path = export(
        tmp_path / "m.pt2", randomize(NETWORKS["resnet"][0]()).eval(), torch.zeros(2, 3, 40, 40)
    )
    model = read_pt2(path)
    (tmp_path / "m.onnx").write_bytes(export_float_onnx(model).SerializeToString())
    again = read_onnx(tmp_path / "m.onnx")
    x = torch.randn(2, 3, 40, 40)
    with torch.no_grad():
        torch.testing.assert_close(build_graph(again)(x), build_graph(model)(x))


def test_the_file_names_the_model_and_is_the_same_each_time(
    models: dict[str, ExportedModel],
) -> None:
    model = models["layers"]
    exported = export_float_onnx(model)
    assert read_metadata(exported) == {"kind": "float", "lineage.model_sha256": model.sha256}
    assert exported.SerializeToString() == export_float_onnx(model).SerializeToString()
