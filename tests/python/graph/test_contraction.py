"""aten.einsum, variances and ranges compute what torch computes, or are refused for a reason."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from random import Random

import pytest
import torch

from smidgen.errors import UnsupportedOperatorError
from smidgen.formats.pt2 import read_pt2
from smidgen.graph.arguments import Activation, ArgumentError, UnsupportedCase
from smidgen.graph.operations import OpKind
from smidgen.graph.operator_table import OPERATORS
from tests.python.formats.pt2_files import export
from tests.python.graph.imported_forms import Computed, Function, compute_both
from tests.python.graph.test_operator_forms import Functions

CHANNELS, HEIGHT, WIDTH = 4, 6, 8
_RAMP = torch.linspace(-1, 1, 400)


def _weight(*shape: int) -> torch.Tensor:
    return _RAMP[: torch.Size(shape).numel()].view(shape)


def _attention(x: torch.Tensor) -> torch.Tensor:
    scores = torch.einsum("bhid,bhjd->bhij", x, x.tanh())
    return torch.einsum("bhij,bhjd->bihd", scores.softmax(-1), x)


EQUATIONS: dict[str, tuple[str, Function]] = {
    "linear": ("bchw,wo->bcho", lambda x: _weight(8, 5)),
    "linear of the second axis": ("bchw,oc->bohw", lambda x: _weight(5, 4)),
    "linear to two axes": ("bchw,wde->bchde", lambda x: _weight(8, 2, 3)),
    "linear of two axes": ("bchw,hwo->bco", lambda x: _weight(6, 8, 2)),
    "linear with the weight transposed": ("bchw,ow->bhco", lambda x: _weight(5, 8)),
    "matrices of weights": ("bchw,cwo->bcho", lambda x: _weight(4, 8, 3)),
    "a vector of weights": ("bchw,w->bch", lambda x: _weight(8)),
    "a number for each channel": ("bchw,c->bchw", lambda x: _weight(4)),
    "all axes": ("bchw,chw->b", lambda x: _weight(4, 6, 8)),
    "samples with samples": ("bchw,bchw->bhw", lambda x: x.tanh()),
    "products of matrices": ("bchw,bcgw->bchg", lambda x: x.tanh()),
    "outer products": ("bchw,bcgv->bcghvw", lambda x: x.tanh()),
    "a sum of one operand": ("bchw,bcgw->bcg", lambda x: x.tanh()),
    "dots": ("...w,ow->...o", lambda x: _weight(5, 8)),
    "dots that are broadcast": ("...hw,...gw->...hg", lambda x: x[:, :1]),
    "no result": ("bchw,wo", lambda x: _weight(8, 5)),
    "spaces": (" b c h w , w o -> b c h o ", lambda x: _weight(8, 5)),
    "one element that is broadcast": ("bchw,bcgw->bhgw", lambda x: x[:, :1]),
}


def _einsum(name: str, x: torch.Tensor) -> torch.Tensor:
    equation, second = EQUATIONS[name]
    return torch.einsum(equation, x, second(x))


def _layer_norm_of_channels(x: torch.Tensor) -> torch.Tensor:
    spread, center = torch.var_mean(x, 1, keepdim=True, correction=0)
    return (x - center) / torch.sqrt(spread + 1e-5)


def _random_equation(random: Random) -> Function:
    """Returns a product of the input with weights, or with the input itself seen in another way."""
    x_axes = "bchw"
    extents = dict(zip("chwdefg", (CHANNELS, HEIGHT, WIDTH, 2, 3, 5, 1), strict=True))
    pool = random.sample("chwdefg", random.randint(1, 4))
    is_computed = random.random() < 0.5
    letters = ("b" if is_computed else "") + "".join(pool)
    shape = [extents[letter] for letter in pool]
    kept = [letter for letter in "chwdefg" if letter in {*x_axes, *pool} and random.random() < 0.6]
    random.shuffle(kept)
    operands, order = (x_axes, letters), random.random() < 0.5
    equation = ",".join(operands[::-1] if order else operands) + "->b" + "".join(kept)

    def function(x: torch.Tensor) -> torch.Tensor:
        second = _weight(*shape)
        if is_computed:
            second = x.mean((1, 2, 3)).reshape(-1, *(1,) * len(shape)) * second
        return torch.einsum(equation, *((second, x) if order else (x, second)))

    return function


_RANDOM = Random(0)
FORMS: dict[str, Function] = {
    **{f"random {index}": _random_equation(_RANDOM) for index in range(60)},
    **{name: partial(_einsum, name) for name in EQUATIONS},
    "weights first": lambda x: torch.einsum("oc,bchw->bohw", _weight(5, 4), x),
    "the order of the alphabet": lambda x: torch.einsum("acde,ef", x, _weight(8, 5)),
    "permuted": lambda x: torch.einsum("bchw->bhwc", x),
    "summed": lambda x: torch.einsum("bchw->bw", x),
    "the same": lambda x: torch.einsum("bchw->bchw", x),
    "three operands": lambda x: torch.einsum("bchw,cd,ew->bdhe", x, _weight(4, 3), _weight(5, 8)),
    "constants among themselves": lambda x: torch.einsum(
        "ij,jk,bchk->bchi", _weight(3, 2), _weight(2, 8), x
    ),
    "constants in a linear layer": lambda x: torch.einsum(
        "bchk,kj->bchj", x, torch.einsum("ij,jk->ik", _weight(8, 2), _weight(2, 3))
    ),
    "a constant's own sum": lambda x: torch.einsum("bchw,vw->bch", x, _weight(3, 8)),
    "attention": _attention,
    "variance": lambda x: x.var((2, 3)),
    "variance without correction": lambda x: x.var(1, keepdim=True, unbiased=False),
    "deviation": lambda x: x.std(dim=-1, correction=2),
    "variance and mean": _layer_norm_of_channels,
    "floating range": lambda x: x + torch.arange(8.0),
    "range with a step": lambda x: x + torch.arange(1, 9, 1) + torch.arange(4.0, 0.0, -0.5),
    "range of another type": lambda x: x + torch.arange(8, dtype=torch.float32),
    "range of narrow integers": lambda x: (
        x * torch.pow(torch.tensor(0.5), torch.arange(1, 9, dtype=torch.int32))
    ),
    "spread numbers": lambda x: x * torch.linspace(-1, 1, 8),
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Computed:
    return compute_both(FORMS, (CHANNELS, HEIGHT, WIDTH), tmp_path_factory.mktemp("forms"))


@pytest.mark.parametrize("name", FORMS)
def test_form_computes_the_same(name: str, results: Computed) -> None:
    expected, found = results[name]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-4)


REFUSED: dict[str, tuple[Function, str]] = {
    "a sum over the samples": (lambda x: torch.einsum("bchw->chw", x), "samples do not come first"),
    "a product over the samples": (
        lambda x: torch.einsum("bchw,bchw->chw", x, x), "samples do not come first"
    ),
    "samples with other samples": (
        lambda x: torch.einsum("bchw,achw->bah", x, x), "samples that are joined"
    ),
    "samples behind": (lambda x: torch.einsum("bchw->cbhw", x), "samples do not come first"),
    "a diagonal": (lambda x: torch.einsum("bcww->bc", x[..., :6]), "a diagonal"),
    "integers": (
        lambda x: torch.einsum("bchw,w->bch", x.long(), torch.arange(8)).float(), "float32"
    ),
    "variance over the samples": (lambda x: x.var(0) + x, "over the samples"),
    "variance of all": (lambda x: x / x.std(None), "over the samples"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_form_is_refused(name: str, tmp_path: Path) -> None:
    function, reason = REFUSED[name]
    path = export(
        tmp_path / "m.pt2", Functions({"f": function}, {}), torch.randn(2, CHANNELS, 6, 8)
    )
    with pytest.raises(UnsupportedOperatorError, match=reason):
        read_pt2(path)


def test_weights_of_an_equation_become_a_linear_layer(tmp_path: Path) -> None:
    module = Functions({"f": partial(_einsum, "linear of the second axis")}, {})
    model = read_pt2(export(tmp_path / "m.pt2", module, torch.randn(2, CHANNELS, 6, 8)))
    kinds = [node.operation.kind for node in model.nodes]
    assert kinds.count(OpKind.LINEAR) == 1
    assert OpKind.MATMUL not in kinds


@pytest.mark.parametrize(
    ("equation", "ranks"),
    [
        ("", 2), ("->", 2), ("ab,bc", 3), ("ab,bc,cd->ad", 2), ("ab,bc->ae", 2), ("ab,bc->aa", 2),
        ("a.b,bc->ac", 2), ("a..b,bc->ac", 2), ("a...b...,bc->ac", 2), ("...a...b,bc->c", 2),
        ("ab,bc->...a....", 2), ("aé,bc->a", 2), ("abc,bc->a", 2), ("ab;bc->ac", 2), 
        ("a1,1b->ab", 2),
        ("ab,bc->ac->a", 2), ("ab,cb->ab", 0), ("a" * 4000, 2), ("ab,b->a", 2),
    ],
)  # fmt: skip
def test_equation_that_does_not_fit_is_refused(equation: str, ranks: int) -> None:
    shapes = {0: ((2, 3), (3, 4)), 2: ((2, 3), (3, 4)), 3: ((2, 3, 4), (3, 4, 5))}[ranks]
    operands = tuple(Activation(i, (None, *shape[1:]), i) for i, shape in enumerate(shapes))
    with pytest.raises((ArgumentError, UnsupportedCase)):
        OPERATORS["einsum.default"].call({"equation": equation, "tensors": operands})
