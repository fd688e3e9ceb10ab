"""Which layer gets which precision."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from smidgen.config import LayerPrecision, Override, PrecisionConfig, WeightBits
from smidgen.errors import InvalidConfigError
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference, fuse_for_training
from smidgen.precision import resolve_precision

ImportModel = Callable[..., FloatModel]
INT8 = LayerPrecision()
INT4 = LayerPrecision(WeightBits.INT4)
NARROW = LayerPrecision(WeightBits.INT4, 32)


class _Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, 4, 3)
        self.block = nn.Sequential(
            nn.Conv2d(4, 4, 3, groups=4), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 4, 1)
        )
        self.wide = nn.Conv2d(4, 4, 3, padding=1)
        self.up = nn.ConvTranspose2d(4, 4, 2, stride=2)
        self.head = nn.Linear(4, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.up(self.wide(self.block(torch.relu(self.stem(x)))))
        y: torch.Tensor = self.head(x.mean((2, 3)))
        return y


@pytest.fixture(scope="module")
def model(import_model: ImportModel) -> FloatModel:
    torch.manual_seed(0)
    return import_model(_Net(), (1, 8, 8))


def resolve(model: FloatModel, config: PrecisionConfig) -> dict[str, LayerPrecision]:
    """Returns precisions by module path."""
    graph = fuse_for_inference(model.graph)
    paths = {node.name: node.meta.get("module_path", "") for node in graph.graph.nodes}
    return {paths[name]: found for name, found in resolve_precision(graph, config).items()}


def test_all_is_int8_by_default(model: FloatModel) -> None:
    assert set(resolve(model, PrecisionConfig()).values()) == {INT8}


def test_int4_is_for_the_dense_layers_between_others(model: FloatModel) -> None:
    found = resolve(model, PrecisionConfig(INT4))
    assert found == {
        "stem": INT8,
        "block.0": INT8,
        "block.3": INT4,
        "wide": INT4,
        "up": INT8,
        "head": INT8,
    }


def test_the_last_override_that_fits_counts(model: FloatModel) -> None:
    overrides = (Override("block.*", NARROW), Override("*.3", INT8), Override("stem", INT4))
    found = resolve(model, PrecisionConfig(INT8, overrides))
    assert found["block.0"] == NARROW
    assert found["block.3"] == INT8
    assert found["stem"] == INT4
    assert found["wide"] == INT8


def test_overrides_name_nodes_too(model: FloatModel) -> None:
    graph = fuse_for_inference(model.graph)
    (name,) = (n.name for n in graph.graph.nodes if n.meta.get("module_path") == "wide")
    assert resolve(model, PrecisionConfig(INT8, (Override(name, INT4),)))["wide"] == INT4


def test_training_resolves_as_conversion_does(model: FloatModel) -> None:
    config = PrecisionConfig(INT4, (Override("head", NARROW),))
    for_training = resolve_precision(fuse_for_training(model.graph), config)
    assert for_training == resolve_precision(fuse_for_inference(model.graph), config)


@pytest.mark.parametrize("pattern", ["Stem", "relu*", "block", "[", "!" * 200])
def test_a_pattern_that_fits_no_layer_is_an_error(model: FloatModel, pattern: str) -> None:
    config = PrecisionConfig(INT8, (Override(pattern, INT4),))
    with pytest.raises(InvalidConfigError, match="fits no convolution or linear layer") as caught:
        resolve(model, config)
    assert caught.value.reason == "PATTERN_MATCHES_NOTHING"
    assert "stem" in caught.value.message


def test_transposed_convolutions_have_no_int4(model: FloatModel) -> None:
    with pytest.raises(InvalidConfigError, match="in up, a transposed convolution") as caught:
        resolve(model, PrecisionConfig(INT8, (Override("up", INT4),)))
    assert caught.value.reason == "INT4_UNSUPPORTED"


@pytest.mark.parametrize("group_size", [-1, 1, 33, 512, 2**40])
def test_other_groups_are_refused(group_size: int) -> None:
    with pytest.raises(InvalidConfigError, match="expected one of 0, 32, 64, 128, 256"):
        LayerPrecision(WeightBits.INT4, group_size)


@pytest.mark.parametrize("pattern", ["", "x" * 201])
def test_patterns_have_bounds(pattern: str) -> None:
    with pytest.raises(InvalidConfigError, match="expected 1 to 200"):
        Override(pattern, INT8)


def test_patterns_have_few_stars() -> None:
    assert Override("*a" * 8, INT8).pattern == "*a" * 8
    with pytest.raises(InvalidConfigError, match="more than 8"):
        Override("*a" * 9, INT8)


def test_overrides_have_bounds() -> None:
    with pytest.raises(InvalidConfigError, match="at most 64"):
        PrecisionConfig(INT8, (Override("*", INT8),) * 65)
