"""How many bytes an artifact takes beside the float parameters."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from benchmarks.nets.resnet import resnet18
from smidgen.artifact import encode_artifact
from smidgen.config import LayerPrecision, PrecisionConfig, WeightBits
from smidgen.convert import convert_graph
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.profile import ActivationRange
from smidgen.tensor_names import activation_names

ImportModel = Callable[..., FloatModel]


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    return import_model(resnet18(), (3, 32, 32))


@pytest.mark.parametrize(
    ("precision", "most"),
    [
        (LayerPrecision(), 0.27),
        (LayerPrecision(WeightBits.INT4), 0.16),
        (LayerPrecision(WeightBits.INT4, 32), 0.16),
        (LayerPrecision(WeightBits.INT4, 0), 0.14),
    ],
    ids=["int8", "int4", "int4-groups-of-32", "int4-per-channel"],
)
def test_resnet18(model: FloatModel, precision: LayerPrecision, most: float) -> None:
    graph = fuse_for_inference(model.graph)
    names = activation_names(graph).values()
    program = convert_graph(
        graph,
        dict.fromkeys(names, ActivationRange(low=-1.0, high=1.0)),
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
        precision=PrecisionConfig(precision),
    )
    share = len(encode_artifact(program)) / model.exported.parameter_bytes
    assert most - 0.03 < share <= most
