"""Well-known nets, written out so that nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.nets.efficientnet_lite import efficientnet_lite0
from benchmarks.nets.mobilenet_v2 import mobilenet_v2
from benchmarks.nets.mobilenet_v3 import mobilenet_v3_large
from benchmarks.nets.random_weights import randomize
from benchmarks.nets.resnet import resnet18, resnet50
from examples.digits.model import DigitNet

Arrays = dict[str, NDArray[np.generic]]


@dataclass(frozen=True, slots=True)
class ImageNet:
    """A net on images.

    Attributes:
        build: Makes the net.
        image_shape: Shape of one image, [C, H, W].
    """

    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]

    def random(self) -> nn.Module:
        """Returns the net in evaluation mode, with random weights that are always the same."""
        torch.manual_seed(0)
        net = self.build()
        randomize(net, torch.from_numpy(self.samples(8, seed=1)))
        return net

    def samples(self, count: int, *, seed: int = 0) -> NDArray[np.float32]:
        """Returns random images, [count, C, H, W]."""
        rng = np.random.default_rng(seed)
        return rng.standard_normal((count, *self.image_shape), np.float32)


NETS = {
    "digits": ImageNet(DigitNet, (1, 8, 8)),
    "resnet18": ImageNet(resnet18, (3, 224, 224)),
    "resnet50": ImageNet(resnet50, (3, 224, 224)),
    "mobilenet_v2": ImageNet(mobilenet_v2, (3, 224, 224)),
    "mobilenet_v3_large": ImageNet(mobilenet_v3_large, (3, 224, 224)),
    "efficientnet_lite0": ImageNet(efficientnet_lite0, (3, 224, 224)),
}
