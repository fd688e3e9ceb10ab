"""Well-known nets, written out so that nothing is downloaded, with random or pretrained weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.nets.bert import WORDS, bert_base, minilm_l6
from benchmarks.nets.efficientnet_lite import efficientnet_lite0
from benchmarks.nets.mobilenet_v2 import mobilenet_v2
from benchmarks.nets.mobilenet_v3 import mobilenet_v3_large
from benchmarks.nets.pretrained import PRETRAINED, WeightsError, load_pretrained
from benchmarks.nets.random_weights import randomize
from benchmarks.nets.resnet import resnet18, resnet50
from benchmarks.subject import Weights
from examples.digits.model import DigitNet

__all__ = [
    "NETS",
    "PRETRAINED",
    "Arrays",
    "ImageNet",
    "Net",
    "TokenNet",
    "WeightsError",
    "make_net",
]

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class ImageNet:
    """A net on images.

    Attributes:
        build: Makes the net.
        image_shape: Shape of one image, [C, H, W].
        input_name: Of the argument of the net.
    """

    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]
    input_name: str = "input"

    def random(self) -> nn.Module:
        """Returns the net in evaluation mode, with random weights that are always the same."""
        torch.manual_seed(0)
        net = self.build()
        (images,) = self.samples(8, seed=1).values()
        randomize(net, torch.from_numpy(images))
        return net

    def samples(self, count: int, *, seed: int = 0) -> Arrays:
        """Returns random images [count, C, H, W] as the only input."""
        rng = np.random.default_rng(seed)
        return {self.input_name: rng.standard_normal((count, *self.image_shape), np.float32)}


@dataclass(frozen=True, slots=True)
class TokenNet:
    """A net on tokens.

    Attributes:
        build: Makes the net.
        tokens: How many tokens a sample has.
    """

    build: Callable[[], nn.Module]
    tokens: int

    def random(self) -> nn.Module:
        """Returns the net in evaluation mode, with random weights that are always the same."""
        torch.manual_seed(0)
        return self.build().eval()

    def samples(self, count: int, *, seed: int = 0) -> Arrays:
        """Returns three arrays of int64 [count, tokens], by the names of the net's arguments.

        The first sample has no padding, others some at the end.
        """
        rng = np.random.default_rng(seed)
        shape = (count, self.tokens)
        lengths = rng.integers(self.tokens // 2, self.tokens + 1, count)
        lengths[0] = self.tokens
        return {
            "input_ids": rng.integers(0, WORDS, shape),
            "attention_mask": (np.arange(self.tokens) < lengths[:, None]).astype(np.int64),
            "token_type_ids": np.zeros(shape, np.int64),
        }


Net = ImageNet | TokenNet

NETS: dict[str, Net] = {
    "digits": ImageNet(DigitNet, (1, 8, 8), "image"),
    "resnet18": ImageNet(resnet18, (3, 224, 224)),
    "resnet50": ImageNet(resnet50, (3, 224, 224)),
    "mobilenet_v2": ImageNet(mobilenet_v2, (3, 224, 224)),
    "mobilenet_v3_large": ImageNet(mobilenet_v3_large, (3, 224, 224)),
    "efficientnet_lite0": ImageNet(efficientnet_lite0, (3, 224, 224)),
    "minilm_l6": TokenNet(minilm_l6, 128),
    "bert_base": TokenNet(bert_base, 128),
}


def make_net(name: str, weights: Weights) -> nn.Module:
    """Returns a net in evaluation mode.

    Raises:
        WeightsError: the net's pretrained weights are not there.
    """
    if weights == "random":
        return NETS[name].random()
    net = NETS[name].build()
    load_pretrained(name, net)
    return net.eval()
