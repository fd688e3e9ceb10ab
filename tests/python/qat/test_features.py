"""Layers by name pattern, and their values in both graphs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import fx, nn

from smidgen.calibration import calibrate
from smidgen.config import FeatureDistance
from smidgen.data.source import ArraySource
from smidgen.errors import InvalidConfigError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.passes import fuse_for_inference
from smidgen.qat.data import Samples
from smidgen.qat.features import select_features, with_outputs
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.teacher import Teacher
from smidgen.tensor_spec import TensorSpec

ImportModel = Callable[..., FloatModel]


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.body = nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU())
        self.head = nn.Linear(4 * 9, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(torch.relu(self.norm(self.stem(x))))
        y: torch.Tensor = self.head(x.flatten(1))
        return y


@pytest.fixture(scope="module")
def graphs(import_model: ImportModel) -> tuple[fx.GraphModule, fx.GraphModule]:
    torch.manual_seed(2)
    model = import_model(_Net(), (1, 5, 5))
    batch = {model.exported.inputs[0].name: torch.randn(8, 1, 5, 5).numpy()}
    prepared = prepare_qat(model.graph, calibrate(model, [batch]).ranges)
    return prepared.eval(), fuse_for_inference(model.graph)


def test_patterns_name_layers_of_both_graphs(
    graphs: tuple[fx.GraphModule, fx.GraphModule],
) -> None:
    prepared, fused = graphs
    features = select_features(
        prepared, fused, [FeatureDistance("*", 0.5), FeatureDistance("body.*", 2.0)]
    )
    assert [feature.weight for feature in features] == [0.5, 2.0, 0.5]
    x = torch.randn(4, 1, 5, 5)
    outputs, values = with_outputs(prepared, [feature.node for feature in features])(x)
    assert torch.equal(outputs, prepared(x))
    _, wanted = with_outputs(fused, [feature.source for feature in features])(x)
    assert [v.shape for v in values] == [(4, 4, 3, 3), (4, 4, 3, 3), (4, 2)]
    for value, target in zip(values, wanted, strict=True):
        torch.testing.assert_close(value, target, rtol=0.0, atol=0.1)
        assert not torch.equal(value, target)


@pytest.mark.parametrize("pattern", ["absent", "x", "body", "[", "*" * 255 + "!"])
def test_pattern_without_a_match_is_refused(
    graphs: tuple[fx.GraphModule, fx.GraphModule], pattern: str
) -> None:
    with pytest.raises(InvalidConfigError) as caught:
        select_features(*graphs, [FeatureDistance("*"), FeatureDistance(pattern)])
    assert caught.value.reason == "PATTERN_MATCHES_NOTHING"
    assert caught.value.message.endswith("layers are stem, body.0, head")


def test_outputs_are_kept_only_where_they_are_small(
    graphs: tuple[fx.GraphModule, fx.GraphModule],
) -> None:
    inputs = np.random.default_rng(0).normal(size=(10, 1, 5, 5)).astype(np.float32)
    spec = TensorSpec("x", "float32", (None, 1, 5, 5))
    source = ArraySource(Dataset({"x": inputs}, 10), [spec])
    samples = Samples(source, np.arange(10), ("x",), None, 0)
    runs: list[int] = []
    handle = graphs[1].register_forward_hook(lambda *_: runs.append(1))
    kept, online = Teacher(graphs[1]), Teacher(graphs[1])
    for teacher, most_bytes in ((kept, 10 * 2 * 4), (online, 10 * 2 * 4 - 1)):
        teacher.keep(samples, 4, most_bytes=most_bytes)
    handle.remove()
    assert kept._kept is not None
    assert kept._kept.shape == (10, 2)
    assert online._kept is None
