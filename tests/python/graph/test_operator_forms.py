"""Every form of every supported operator, one small module each."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from smidgen.errors import UnsupportedOperatorError
from smidgen.formats.pt2 import ExportedModel, read_pt2
from smidgen.graph.build import build_graph
from tests.python.formats.pt2_files import export

IN_PLACE = (
    "relu", "silu", "hardswish", "hardsigmoid", "elu", "leaky_relu", "hardtanh", "relu6",
)  # fmt: skip
Function = Callable[..., torch.Tensor]


class Functions(nn.Module):
    """Many functions of one input as one module, so that one export covers them all."""

    def __init__(self, functions: dict[str, Function], parts: dict[str, nn.Module]) -> None:
        super().__init__()
        self.functions = functions
        self.parts = nn.ModuleDict(parts)

    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        return {
            name: function(x, self.parts[name]) if name in self.parts else function(x)
            for name, function in self.functions.items()
        }


def _written_then_read(x: torch.Tensor) -> torch.Tensor:
    y = x + x
    z = F.relu_(y)
    return y + z


def _written_view(x: torch.Tensor) -> torch.Tensor:
    y = x + x
    return F.relu_(y.view(y.size(0), -1))


def _written_copy(x: torch.Tensor) -> torch.Tensor:
    y = x + x
    return F.relu_(y.clone()) + y


def _written_detached(x: torch.Tensor) -> torch.Tensor:
    y = x + x
    F.relu_(y.detach())
    return y


def _base_of_view_written(x: torch.Tensor) -> torch.Tensor:
    y = x + x
    view = y.view(y.size(0), -1)
    F.relu_(y)
    return torch.tanh(view)


def _in_place(function: Function, x: torch.Tensor) -> torch.Tensor:
    return function(x + x, inplace=True) + x


def _positive(x: torch.Tensor) -> torch.Tensor:
    return x.clamp(min=0.1)


def _global(x: torch.Tensor) -> torch.Tensor:
    return F.adaptive_avg_pool2d(x, 1)


_POOLED = ["global_average_pool"]
_FLAT = ["global_average_pool", "flatten"]
OF_POSITIVE = ("log", "sqrt", "rsqrt", "reciprocal")
FUNCTIONS: dict[str, tuple[str, Function]] = {
    "neg": ("negative", torch.neg),
    "abs": ("absolute", torch.abs),
    "exp": ("exponential", torch.exp),
    "log": ("logarithm", lambda x: torch.log(_positive(x))),
    "sqrt": ("square root", lambda x: torch.sqrt(_positive(x))),
    "rsqrt": ("inverse square root", lambda x: torch.rsqrt(_positive(x))),
    "reciprocal": ("reciprocal", lambda x: torch.reciprocal(_positive(x))),
    "erf": ("error function", torch.erf),
    "mish": ("mish", F.mish),
    "softplus": ("softplus", F.softplus),
    "sin": ("sine", torch.sin),
    "cos": ("cosine", torch.cos),
    "floor": ("floor", torch.floor),
    "round": ("round", torch.round),
}
FORMS: dict[str, tuple[Function, list[str]]] = {
    "view": (lambda x: x.view(x.size(0), -1), ["flatten"]),
    "reshape": (lambda x: torch.reshape(x, (-1, 256)), ["flatten"]),
    "reshape to rank 3": (lambda x: x.reshape(x.shape[0], 4, 64), ["reshape"]),
    "flatten from 2": (lambda x: x.flatten(2), ["reshape"]),
    "reshapes collapse": (lambda x: x.flatten(2).reshape(-1, 4, 8, 8) + x, ["add"]),
    "mean": (lambda x: x.mean([2, 3]), _FLAT),
    "mean with kept axes": (lambda x: x.mean((-2, -1), keepdim=True), _POOLED),
    "squeeze one": (lambda x: _global(x).squeeze(-1).squeeze(-1), _FLAT),
    "squeeze two": (lambda x: _global(x).squeeze((2, 3)), _FLAT),
    "squeeze all": (lambda x: _global(x).squeeze(), _FLAT),
    "unsqueeze": (lambda x: _global(x).flatten(1).unsqueeze(-1).unsqueeze(-1), _POOLED),
    "clamp": (lambda x: x.clamp(-1, 0.5), ["clamp"]),
    "clamp below": (lambda x: x.clamp(min=0.1), ["clamp"]),
    "clamp above": (lambda x: torch.clip(x, max=0.2), ["clamp"]),
    "clamp as relu": (lambda x: torch.clamp_min(x, 0), ["relu"]),
    "clamp as relu6": (lambda x: x.clamp(0, 6), ["relu6"]),
    "hardtanh": (F.hardtanh, ["clamp"]),
    "relu": (torch.relu, ["relu"]),
    "relu6": (F.relu6, ["relu6"]),
    "sigmoid": (torch.sigmoid, ["sigmoid"]),
    "hardsigmoid": (F.hardsigmoid, ["hardsigmoid"]),
    "hardswish": (F.hardswish, ["hardswish"]),
    "silu": (F.silu, ["silu"]),
    "gelu": (F.gelu, ["gelu"]),
    "gelu by tanh": (lambda x: F.gelu(x, approximate="tanh"), ["gelu"]),
    "tanh": (torch.tanh, ["tanh"]),
    "leaky relu": (lambda x: F.leaky_relu(x, 0.3), ["leaky_relu"]),
    "elu": (lambda x: F.elu(x, 0.7), ["elu"]),
    "max pool": (lambda x: F.max_pool2d(x, 3, 2, 1), ["max_pool"]),
    "max pool up": (lambda x: F.max_pool2d(x, (3, 2), 2, ceil_mode=True), ["max_pool"]),
    "max pool padded up": (lambda x: F.max_pool2d(x, 3, 2, 1, ceil_mode=True), ["max_pool"]),
    "max pool dilated": (lambda x: F.max_pool2d(x, 3, 1, 1, dilation=2), ["max_pool"]),
    "average pool": (lambda x: F.avg_pool2d(x, 2), ["average_pool"]),
    "average pool up": (lambda x: F.avg_pool2d(x, 3, 2, ceil_mode=True), ["average_pool"]),
    "average pool uncounted": (
        lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False),
        ["average_pool"],
    ),
    "adaptive pool": (lambda x: F.adaptive_avg_pool2d(x, (4, 2)), ["average_pool"]),
    "adaptive pool of same size": (lambda x: F.adaptive_avg_pool2d(x, 8) + x, ["add"]),
    **{
        name: (function, ["clamp", kind] if kind in OF_POSITIVE else [kind])
        for kind, (name, function) in FUNCTIONS.items()
    },
    "power": (lambda x: x**3, ["pow"]),
    "square": (torch.square, ["multiply"]),
    "square by power": (lambda x: x**2, ["multiply"]),
    "smaller and larger": (
        lambda x: torch.minimum(x, -x) + torch.maximum(x, x * 2),
        ["neg", "minimum", "constant", "multiply", "maximum", "add"],
    ),
    "smallest": (lambda x: x.amin((1, 2)), ["reduce"]),
    "place of the largest": (lambda x: x.argmax(1), ["reduce"]),
    "log softmax": (lambda x: F.log_softmax(x, 1), ["log_softmax"]),
    "instance norm": (F.instance_norm, ["group_norm"]),
    "adaptive max pool": (lambda x: F.adaptive_max_pool2d(x, (4, 2)), ["max_pool"]),
    "padding": (lambda x: F.pad(x, (1, 2, 0, 1), value=0.5), ["pad"]),
    "padding by zeros": (lambda x: F.pad(x, (1, 2)), ["pad"]),
    "pixel shuffle": (lambda x: F.pixel_shuffle(x, 2), ["reshape", "transpose", "reshape"]),
    "pixel unshuffle": (lambda x: F.pixel_unshuffle(x, 2), ["reshape", "transpose", "reshape"]),
    "channel shuffle": (
        lambda x: torch.channel_shuffle(x, 2),
        ["reshape", "transpose", "reshape"],
    ),
    "split": (lambda x: torch.mul(*torch.split(x, 2, 1)), ["slice", "slice", "multiply"]),
    "uneven split": (lambda x: torch.split(x, 3, 2)[2], ["slice"]),
    "split by sizes": (lambda x: torch.split(x, [1, 3], 1)[1], ["slice"]),
    "chunk": (lambda x: torch.add(*x.chunk(2, -1)), ["slice", "slice", "add"]),
    "unbind": (
        lambda x: torch.mul(*x[:, :2].unbind(1)),
        ["slice", "slice", "reshape", "slice", "reshape", "multiply"],
    ),
    "stack": (lambda x: torch.stack([x, x * x], 2), ["multiply", "reshape", "reshape", "concat"]),
    "narrow": (lambda x: x.narrow(1, 1, 2), ["slice"]),
    "nearest": (lambda x: F.interpolate(x, scale_factor=2), ["resize"]),
    "nearest of a size": (lambda x: F.interpolate(x, (5, 13)), ["resize"]),
    "nearest by uneven scales": (lambda x: F.interpolate(x, scale_factor=(1.3, 0.7)), ["resize"]),
    "nearest exact": (lambda x: F.interpolate(x, (5, 13), mode="nearest-exact"), ["resize"]),
    "bilinear": (lambda x: F.interpolate(x, (5, 13), mode="bilinear"), ["resize"]),
    "bilinear by scales": (
        lambda x: F.interpolate(x, scale_factor=(1.3, 2), mode="bilinear"),
        ["resize"],
    ),
    "bilinear with corners": (
        lambda x: F.interpolate(x, (12, 3), mode="bilinear", align_corners=True),
        ["resize"],
    ),
    "concat": (lambda x: torch.cat([x, torch.relu(x), x], -3), ["relu", "concat"]),
    "concat of rows": (lambda x: torch.concat([x, x], 2), ["concat"]),
    "identities": (
        lambda x: x.contiguous().detach().to(torch.float32).clone() + F.dropout(x, 0.1, False),
        ["dropout", "add"],
    ),
    "written then read by its old name": (_written_then_read, ["add", "relu", "add"]),
    "dropout in place": (lambda x: F.dropout(x + x, 0.3, False, True), ["add", "dropout"]),
    "written view": (_written_view, ["add", "flatten", "relu"]),
    "written copy": (_written_copy, ["add", "relu", "add"]),
    "written through an alias": (_written_detached, ["add", "relu"]),
    "constant addition": (lambda x: x + 1, ["constant", "add"]),
    "broadcast addition": (lambda x: x + _global(x), ["global_average_pool", "add"]),
    "mean over channels": (lambda x: x.mean([1]), ["reduce"]),
    "sum": (lambda x: x.sum((2, -1), keepdim=True), ["reduce"]),
    "largest": (lambda x: x.amax(1), ["reduce"]),
    "norm of rows": (lambda x: torch.linalg.vector_norm(x, dim=3), ["multiply", "reduce", "sqrt"]),
    "normalized": (
        lambda x: F.normalize(x, dim=1),
        ["multiply", "reduce", "sqrt", "clamp", "expand", "div"],
    ),
    "permutation": (lambda x: x.permute(0, 2, 3, 1), ["transpose"]),
    "transposition": (lambda x: x.transpose(1, -1), ["transpose"]),
    "slice": (lambda x: x[:, 1:3, ::2], ["slice", "slice"]),
    "element": (lambda x: x[:, -1], ["slice", "reshape"]),
    "expansion": (lambda x: _global(x).expand(-1, 4, 2, 8), ["global_average_pool", "expand"]),
    "difference": (
        lambda x: 1 - x * 2 - x / 3,
        [
            "constant",
            "multiply",
            "constant",
            "sub",
            "constant",
            "div",
            "sub",
        ],
    ),
    "comparisons": (
        lambda x: torch.where((x > 0) & ~(x >= x + 1), x, 0.5),
        ["constant", "compare", "constant", "add", "compare", "not", "and", "constant", "where"],
    ),
    "masked": (
        lambda x: x.masked_fill(x.lt(0.1) | (x == 2), -3.0),
        ["constant", "compare", "constant", "compare", "or", "constant", "where"],
    ),
    "softmax": (lambda x: x.softmax(-1), ["softmax"]),
    "product": (lambda x: x @ x.transpose(2, 3), ["transpose", "matmul"]),
    "attention": (
        lambda x: F.scaled_dot_product_attention(x, x, x, is_causal=True),
        ["scaled_dot_product_attention"],
    ),
    "attention with a mask": (
        lambda x: F.scaled_dot_product_attention(x, x, x, x > 5, scale=0.7),
        ["constant", "compare", "scaled_dot_product_attention"],
    ),
    "rows of a range": (
        lambda x: x + torch.arange(8).unsqueeze(0).expand(8, 8)[:, 2:3].to(x.dtype),
        ["constant", "add"],
    ),
    "cast": (
        lambda x: (x > 0).to(x.dtype) + (x > 0).long(),
        [
            "constant",
            "compare",
            "cast",
            "constant",
            "compare",
            "cast",
            "cast",
            "add",
        ],
    ),
}
LAYERS: dict[str, tuple[Function, nn.Module]] = {
    "group norm": (lambda x, norm: norm(x), nn.GroupNorm(2, 4)),
    "instance norm": (lambda x, norm: norm(x), nn.InstanceNorm2d(4, affine=True)),
    "slopes": (lambda x, prelu: prelu(x), nn.PReLU(4)),
    "slope": (lambda x, prelu: prelu(x), nn.PReLU()),
    "transposed": (lambda x, conv: conv(x), nn.ConvTranspose2d(4, 6, 3, 2, 1, 1)),
    "transposed groups": (
        lambda x, conv: conv(x),
        nn.ConvTranspose2d(4, 6, (2, 3), (2, 1), (0, 1), groups=2, bias=False, dilation=(1, 2)),
    ),
    "same": (lambda x, conv: conv(x), nn.Conv2d(4, 6, (3, 5), padding="same", dilation=2)),
    "valid": (lambda x, conv: conv(x), nn.Conv2d(4, 6, 3, padding="valid", groups=2)),
    "uneven": (lambda x, conv: conv(x), nn.Conv2d(4, 6, (1, 3), (2, 1), (0, 1), bias=False)),
    "norm": (lambda x, norm: norm(x), nn.BatchNorm2d(4, affine=False)),
    "norm of rows": (lambda x, norm: norm(x.flatten(1)), nn.BatchNorm1d(256, 1e-3)),
    "linear": (lambda x, fc: fc(x.flatten(1)), nn.Linear(256, 3, bias=False)),
    "addmm": (
        lambda x, fc: torch.addmm(fc.bias, x.flatten(1), fc.weight.t()),
        nn.Linear(256, 3),
    ),
    "matmul": (lambda x, fc: x.flatten(1) @ fc.weight.T, nn.Linear(256, 3)),
    "mm": (lambda x, fc: x.flatten(1).mm(fc.weight.transpose(0, 1)), nn.Linear(256, 3)),
    "called twice": (lambda x, norm: norm(norm(x)), nn.BatchNorm2d(4)),
    "layer norm": (lambda x, norm: norm(x), nn.LayerNorm(8)),
    "layer norm without bias": (lambda x, norm: norm(x), nn.LayerNorm(8, bias=False)),
    "plain layer norm": (lambda x, norm: norm(x), nn.LayerNorm(8, elementwise_affine=False)),
    "linear of images": (lambda x, fc: fc(x), nn.Linear(8, 3)),
    "constant embedding": (
        lambda x, table: x + table(torch.arange(8))[None, None],
        nn.Embedding(9, 8),
    ),
    "weight as operand": (lambda x, norm: x * norm.weight, nn.LayerNorm(8)),
}
REFUSED: dict[str, tuple[Function, str]] = {
    "joined samples mixed": (lambda x: x.flatten(0, 1).amax(0), "an axis of the samples"),
    "joined samples with others": (lambda x: x.flatten(0, 1) + x[:, 0].mean(), "aten.mean"),
    "batch concatenated": (lambda x: torch.cat([x, x], 0), "aten.cat.default"),
    "scaled addition": (lambda x: torch.add(x, x, alpha=2), "alpha other than 1"),
    "padding on one side": (
        lambda x: F.conv2d(x, torch.ones(1, 4, 2, 2), padding="same"),
        "aten.conv2d.padding",
    ),
    "samples behind another axis": (
        lambda x: x.permute(1, 0, 2, 3).softmax(1),
        "an axis of the samples",
    ),
    "view of written memory": (_base_of_view_written, "has written to"),
    "mean over samples": (lambda x: x.mean([0]), "aten.mean.dim"),
    "other type": (lambda x: x.to(torch.float64), "a change of the element type"),
    "several": (lambda x: torch.erfinv((x @ x.inverse()).flatten(1)), "aten.erfinv.default"),
}


def _keys(table: Iterable[str]) -> dict[str, str]:
    return {name: "_".join(("f", *name.split())) for name in table}


@dataclass(frozen=True)
class Results:
    """What the original and the imported graph give for each form, and the operations of each."""

    expected: dict[str, torch.Tensor]
    found: dict[str, torch.Tensor]
    model: ExportedModel

    def check(self, name: str) -> None:
        torch.testing.assert_close(self.found[name], self.expected[name], rtol=1e-5, atol=1e-6)

    def kinds(self, name: str) -> list[str]:
        """Returns the kinds of the operations that an output depends on."""
        index = [spec.name for spec in self.model.outputs].index(name)
        needed, kinds = {self.model.output_values[index]}, []
        for node in reversed(self.model.nodes):
            if node.output in needed:
                needed.update(node.inputs)
                kinds.append(node.operation.kind.value)
        return kinds[::-1]


def _run(module: Functions, path: Path) -> Results:
    torch.manual_seed(0)
    module.eval()
    model = read_pt2(export(path, module, torch.randn(2, 4, 8, 8)))
    inputs = torch.randn(3, 4, 8, 8)
    with torch.no_grad():
        names = [spec.name for spec in model.outputs]
        found = dict(zip(names, build_graph(model)(inputs), strict=True))
        return Results(module(inputs), found, model)


@pytest.fixture(scope="module")
def forms(tmp_path_factory: pytest.TempPathFactory) -> Results:
    functions = {key: FORMS[name][0] for name, key in _keys(FORMS).items()}
    return _run(Functions(functions, {}), tmp_path_factory.mktemp("forms") / "m.pt2")


@pytest.fixture(scope="module")
def layers(tmp_path_factory: pytest.TempPathFactory) -> Results:
    functions = {key: LAYERS[name][0] for name, key in _keys(LAYERS).items()}
    parts = {key: LAYERS[name][1] for name, key in _keys(LAYERS).items()}
    return _run(Functions(functions, parts), tmp_path_factory.mktemp("layers") / "m.pt2")


@pytest.fixture(scope="module")
def in_place(tmp_path_factory: pytest.TempPathFactory) -> Results:
    functions = {name: partial(_in_place, getattr(F, name)) for name in IN_PLACE}
    return _run(Functions(functions, {}), tmp_path_factory.mktemp("in_place") / "m.pt2")


@pytest.fixture(scope="module")
def refusal(tmp_path_factory: pytest.TempPathFactory) -> UnsupportedOperatorError:
    functions = {key: REFUSED[name][0] for name, key in _keys(REFUSED).items()}
    path = tmp_path_factory.mktemp("refused") / "m.pt2"
    export(path, Functions(functions, {}).eval(), torch.randn(2, 4, 8, 8))
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_pt2(path)
    return caught.value


@pytest.mark.parametrize("name", FORMS)
def test_form_computes_the_same(name: str, forms: Results) -> None:
    key = _keys([name])[name]
    forms.check(key)
    assert forms.kinds(key) == FORMS[name][1]


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place_form_computes_the_same(name: str, in_place: Results) -> None:
    in_place.check(name)


@pytest.mark.parametrize("name", LAYERS)
def test_layer_computes_the_same(name: str, layers: Results) -> None:
    layers.check(_keys([name])[name])


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_form_is_named(name: str, refusal: UnsupportedOperatorError) -> None:
    assert refusal.reason == "UNSUPPORTED_OPERATOR"
    assert REFUSED[name][1] in refusal.message


def test_a_written_view_is_no_output(tmp_path: Path) -> None:
    class Writer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = x + x
            view = y.view(-1, 2, 2)
            F.relu_(y)
            return view

    path = export(tmp_path / "m.pt2", Writer(), torch.randn(2, 4))
    with pytest.raises(UnsupportedOperatorError, match=r"memory that 'relu_' \(.*\) has written"):
        read_pt2(path)


def test_decompositions_subtract_from_numbers(tmp_path: Path) -> None:
    functions: dict[str, Function] = {
        "of_floats": lambda x: 1 - x,
        "of_integers": lambda x: (3 - x.argmax(1, keepdim=True)) * x,
        "of_integers_from_half": lambda x: (0.5 - x.argmax(1, keepdim=True)) * x,
        "behind_another_axis": lambda x: (2 - x.transpose(0, 1)).transpose(0, 1),
        "spread": lambda x: x + torch.linspace(-1, 1, 6),
    }
    module = Functions(functions, {})
    path = export(tmp_path / "m.pt2", module, torch.randn(2, 4, 6), decompose=True)
    model, x = read_pt2(path), torch.randn(5, 4, 6)
    for spec, found in zip(model.outputs, build_graph(model)(x), strict=True):
        torch.testing.assert_close(found, functions[spec.name](x))


@pytest.mark.parametrize("is_view_written", [True, False])
def test_a_reshaped_filling_is_a_view_of_it(tmp_path: Path, is_view_written: bool) -> None:
    class Writer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            filling = torch.zeros_like(x)
            view = filling.view(-1, 2, 2)
            (view if is_view_written else filling).add_(0.5)
            return x * (filling if is_view_written else view.flatten(1))

    path = export(tmp_path / "m.pt2", Writer(), torch.randn(2, 4))
    with pytest.raises(UnsupportedOperatorError, match=r"memory that 'add_' \(.*\) has written"):
        read_pt2(path)


def test_a_view_of_a_filling_in_its_own_shape_writes_to_it(tmp_path: Path) -> None:
    class Writer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            filling = torch.zeros_like(x)
            filling.view(filling.size(0), -1).add_(0.5)
            return x * filling

    model = read_pt2(export(tmp_path / "m.pt2", Writer(), torch.randn(2, 4)))
    x = torch.randn(5, 4)
    torch.testing.assert_close(build_graph(model)(x), x / 2)


def test_writing_to_the_input_changes_later_uses_of_it(tmp_path: Path) -> None:
    class Writer(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            F.relu_(x)
            return x + x

    model = read_pt2(export(tmp_path / "m.pt2", Writer(), torch.randn(2, 4)))
    inputs = torch.randn(3, 4)
    expected = 2 * inputs.clamp(min=0)
    assert torch.equal(build_graph(model)(inputs), expected)
    assert (inputs < 0).any()


def test_all_unsupported_operators_are_named_with_their_modules(tmp_path: Path) -> None:
    module = nn.Sequential(nn.RReLU(), nn.Upsample((3, 3), mode="bicubic"), nn.RReLU(), nn.ReLU())
    path = export(tmp_path / "m.pt2", module.eval(), torch.randn(2, 4, 8, 8))
    with pytest.raises(UnsupportedOperatorError) as refusal:
        read_pt2(path)
    places = (
        r"rrelu in 0 \(activation.py:\d+ in forward\), rrelu_1 in 2 \(activation.py:\d+ in \w+\);"
    )
    assert re.search(f"aten.rrelu.default at {places}", refusal.value.message)
    assert "docs/operators.md lists the" in refusal.value.message
    assert "aten.upsample_bicubic2d.vec at upsample_bicubic2d in 1" in refusal.value.message
    assert refusal.value.metadata == {"op": "aten.rrelu.default", "node": "rrelu"}
