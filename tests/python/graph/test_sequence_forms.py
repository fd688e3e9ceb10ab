"""Operators of signals, constant indices and joined samples compute what torch computes."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn import functional as F

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.pt2 import read_pt2
from tests.python.formats.pt2_files import export
from tests.python.graph.imported_forms import Computed, Function, compute_both
from tests.python.graph.test_operator_forms import Functions

CHANNELS, HEIGHT, WIDTH = 4, 6, 8
_TOKEN = torch.arange(8.0).reshape(1, 1, 8)
_ORDER = torch.tensor([3, 1, 0, 2, 2, 2, 0, 2])
_REVERSED = _ORDER.flip(0)
_TRIANGLE = torch.ones(6, 8, dtype=torch.bool).tril()
_RAMP = torch.linspace(-1, 1, 400)


def _image(channels: int, *kernel: int) -> torch.Tensor:
    return _RAMP[: 6 * channels * kernel[0] * kernel[1]].view(6, channels, *kernel)


def _signal(x: torch.Tensor) -> torch.Tensor:
    return x.flatten(2)


def _rows(x: torch.Tensor) -> torch.Tensor:
    return x[:, 0]


def _ids(x: torch.Tensor) -> torch.Tensor:
    return (x[:, 0, 0] > 0).long()


def _padding_positions(x: torch.Tensor) -> torch.Tensor:
    mask = (x[:, 0, 0] > 0).int()
    return ((torch.cumsum(mask, dim=1).type_as(mask) * mask).long() + 1).float()


def _windows(x: torch.Tensor) -> torch.Tensor:
    batch, channels, height, width = x.shape
    parts = x.permute(0, 2, 3, 1).view(batch, height // 2, 2, width // 2, 2, channels)
    windows = parts.permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, channels)
    heads = windows.view(-1, 4, 2, channels // 2).transpose(1, 2)
    bias = _RAMP[:32].view(1, 2, 4, 4)
    attended = F.scaled_dot_product_attention(heads, heads, heads, bias)
    joined = attended.transpose(1, 2).reshape(-1, 4, channels).tanh()
    back = joined.view(-1, height // 2, width // 2, 2, 2, channels)
    return back.permute(0, 1, 3, 2, 4, 5).reshape(batch, height, width, channels)


def _heads(x: torch.Tensor) -> torch.Tensor:
    tokens = x.flatten(2).transpose(1, 2)
    batch, count, _ = tokens.shape
    heads = tokens.view(batch, count, 2, 2).transpose(1, 2).reshape(batch * 2, count, 2)
    scores = torch.bmm(heads, heads.transpose(1, 2)).softmax(-1)
    addend = torch.ones(1, 1, count)
    scores = torch.baddbmm(addend, heads, heads.transpose(1, 2), beta=0.5, alpha=0.25) + scores
    return torch.bmm(scores, heads).view(batch, 2, count, 2).transpose(1, 2).flatten(2)


def _written_constant(x: torch.Tensor) -> torch.Tensor:
    places = torch.zeros(8, dtype=torch.long)
    places += torch.where(torch.arange(8) > 3, 2, torch.arange(8))
    return x * torch.min(places, -places + 9).abs().float()


def _scaled_sum_of_constants(x: torch.Tensor) -> torch.Tensor:
    weight = torch.tensor([1.0, 2.0, 1.0])
    kernel = weight[:, None] * weight[None, :]
    kernel = (kernel / torch.sum(kernel))[None, None].repeat(CHANNELS, 1, 1, 1)
    return F.conv2d(F.pad(x, (1, 1, 1, 1), "reflect"), kernel, groups=CHANNELS)


def _unpooled(x: torch.Tensor) -> torch.Tensor:
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    return F.max_unpool2d(pooled.cos(), places, 2)


def _unpooled_after_writing(x: torch.Tensor) -> torch.Tensor:
    pooled, places = F.max_pool2d(x, 2, return_indices=True)
    x.neg_().relu_()
    return F.max_unpool2d(pooled, places, 2) + x


FORMS: dict[str, Function] = {
    "conv1d": lambda x: F.conv1d(_signal(x), _image(4, 1, 3)[:, :, 0], _RAMP[:6], 2, 1, 2),
    "conv1d of groups": lambda x: F.conv1d(_signal(x), _image(2, 1, 3)[:, :, 0], groups=2),
    "conv1d same": lambda x: F.conv1d(_signal(x), _image(4, 1, 4)[:, :, 0], padding="same"),
    "conv1d valid": lambda x: F.conv1d(_signal(x), _image(4, 1, 4)[:, :, 0], padding="valid"),
    "computed weight": lambda x: F.conv2d(x, _image(5, 3, 3)[:, 1:]),
    "transposed weight": lambda x: F.conv_transpose2d(x, torch.ones(4, 1, 2, 2)),
    "local response": lambda x: F.local_response_norm(x, 3, 0.5, 0.75, 2.0),
    "local response of even size": lambda x: F.local_response_norm(x, 2),
    "cumsum": lambda x: torch.cumsum(x, -1),
    "cumsum of bool": lambda x: torch.cumsum(x > 0, 3).float(),
    "positions behind padding": _padding_positions,
    "index select": lambda x: x.index_select(1, _ORDER),
    "index select of the last axis": lambda x: torch.index_select(x, -1, _REVERSED),
    "constant gathered": lambda x: (
        _rows(x) + torch.gather(_TOKEN[0].expand(6, 8), 1, _ORDER.expand(6, 8))
    ),
    "zeros gathered": lambda x: (
        torch.gather(torch.zeros(1, 8).expand(x.shape[0], -1), 1, _ids(x)) + x[:, 0, 0]
    ),
    "constant indexed": lambda x: x + _RAMP[:4][_ORDER],
    "max along an axis": lambda x: torch.max(x, 1, keepdim=True)[0],
    "min along an axis": lambda x: x.min(2)[0],
    "max of two": lambda x: torch.max(x, -x),
    "min of two": lambda x: torch.min(x, x * x),
    "repeated token": lambda x: torch.cat([_TOKEN.repeat(x.shape[0], 1, 1), _rows(x)], 1),
    "expanded token": lambda x: torch.cat([_TOKEN.expand(x.shape[0], 2, -1), _rows(x)], 1),
    "expanded token added": lambda x: (
        _rows(x) + _TOKEN.expand(x.shape[0], -1, -1).transpose(1, 2)[:, :6]
    ),
    "expanded mask": lambda x: torch.where(_TRIANGLE.expand(x.shape[0], 1, 6, 8), x, -x),
    "zeros of the batch": lambda x: torch.cat([x, torch.zeros(x.shape[0], 1, 6, 8)], 1),
    "zeros like": lambda x: torch.cat([torch.zeros_like(x), torch.ones_like(x), x], 1),
    "full like": lambda x: torch.cat([torch.full_like(x, 3), x], 1),
    "constants concatenated": lambda x: x + torch.cat([torch.ones(4), _RAMP[:4]]),
    "constant concatenated": lambda x: torch.cat([x, x], 1) * torch.cat([_TOKEN, _TOKEN], 0)[0],
    "repeated rows": lambda x: x.mean(2, keepdim=True).repeat(1, 1, 3, 1),
    "unflatten": lambda x: x.unflatten(1, (2, -1)),
    "sum of a constant": _scaled_sum_of_constants,
    "reflection": lambda x: F.pad(x, (2, 1, 0, 3), "reflect"),
    "replication": lambda x: F.pad(x, (2, 1, 0, 3), "replicate"),
    "circular": lambda x: F.pad(x, (2, 1, 0, 3), "circular"),
    "written constant": _written_constant,
    "weight norm": lambda x: F.conv2d(
        x, torch._weight_norm(_image(4, 3, 3), _RAMP[-3:].view(1, 1, 1, 3), 3)
    ),
    "power of constants": lambda x: x * torch.pow(torch.tensor(2.0), torch.arange(8)),
    "roll": lambda x: torch.roll(x, (-2, 3), (2, 3)),
    "adaptive pool of signals": lambda x: F.adaptive_avg_pool1d(_signal(x), 5),
    "adaptive pool of signals to one": lambda x: F.adaptive_avg_pool1d(_signal(x), 1),
    "uneven adaptive pool": lambda x: F.adaptive_avg_pool2d(x, (4, 3)),
    "unfold": lambda x: F.unfold(x, (3, 2), dilation=(1, 2), padding=1, stride=(2, 1)),
    "fold": lambda x: F.fold(F.unfold(x, 2, stride=2).tanh(), (6, 8), 2, stride=2),
    "reshape as": lambda x: x.transpose(2, 3).reshape_as(x),
    "constant resized": lambda x: (
        x + F.interpolate(_image(4, 3, 5)[:1], (6, 8), mode="bilinear", align_corners=False)
    ),
    "constant resized to corners": lambda x: (
        x + F.interpolate(_image(4, 3, 5)[:1], (6, 8), mode="bilinear", align_corners=True)
    ),
    "unpool": _unpooled,
    "unpool with ties": lambda x: _unpooled(x.clamp(min=0.5)),
    "unpool of a written image": lambda x: _unpooled_after_writing(x + 0),
    "unpool of uneven windows": lambda x: F.max_unpool2d(
        *F.max_pool2d(x, (3, 2), return_indices=True), (3, 2)
    ),
    "windows": _windows,
    "heads": _heads,
    "tokens joined": lambda x: F.linear(
        _rows(x).reshape(-1, 8), _TOKEN[0].expand(3, 8).contiguous()
    ).view(-1, 6, 3),
    "joined and permuted": lambda x: (
        x.flatten(0, 1).permute(0, 2, 1)[:, 1:, ::2].reshape(x.shape[0], 4, 7, 3)
    ),
    "result that nothing needs": lambda x: (torch.erfinv(x), x.tanh())[1],
}


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Computed:
    return compute_both(FORMS, (CHANNELS, HEIGHT, WIDTH), tmp_path_factory.mktemp("forms"))


@pytest.mark.parametrize("name", FORMS)
def test_form_computes_the_same(name: str, results: Computed) -> None:
    expected, found = results[name]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-5)


REFUSED: dict[str, tuple[Function, str]] = {
    "attention over samples": (
        lambda x: x.flatten(0, 1).transpose(0, 1).softmax(1), "an axis of the samples"
    ),
    "elements selected": (lambda x: x.gather(3, (x > 0).long()), "selected one by one"),
    "running sum of rows": (lambda x: x.cumsum(2), "other than the last axis"),
    "overlapping windows": (lambda x: F.fold(F.unfold(x, 3), (6, 8), 3), "windows that overlap"),
    "average over volumes": (
        lambda x: F.avg_pool3d(x.unsqueeze(1), 2).flatten(1), "other than the depth"
    ),
    "unpool of windows that overlap": (
        lambda x: F.max_unpool2d(*F.max_pool2d(x, 2, 1, return_indices=True), 2, 1),
        "a pool of windows side by side"
    ),
    "unpool to larger images": (
        lambda x: torch.ops.aten.max_unpool2d(
            *F.max_pool2d(x, (4, 2), return_indices=True), (6, 8)
        ),
        "do not fill the images"
    ),
    "unpool by other indices": (
        lambda x: F.max_unpool2d(x, x.long(), 1, 1), "a pool of windows side by side"
    ),
    "indices as numbers": (
        lambda x: F.max_pool2d(x, 2, return_indices=True)[1].float(), "must be a plain tensor"
    ),
    "samples rolled": (lambda x: x.roll(1, 0), "a rotation of the samples"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_unsupported_form_is_named(name: str, tmp_path: Path) -> None:
    function, expected = REFUSED[name]
    path = export(
        tmp_path / "m.pt2", Functions({"f": function}, {}).eval(), torch.randn(2, 4, 6, 8)
    )
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_pt2(path)
    assert expected in caught.value.message


def test_joined_samples_are_no_output(tmp_path: Path) -> None:
    module = Functions({"f": lambda x: x.flatten(0, 1)}, {}).eval()
    path = export(tmp_path / "m.pt2", module, torch.randn(2, 4, 6, 8))
    with pytest.raises(InvalidModelError) as caught:
        read_pt2(path)
    assert caught.value.reason == "PT2_UNSUPPORTED_SIGNATURE"
    assert "has the shape [4 * ?, 6, 8], expected the samples along" in caught.value.message
