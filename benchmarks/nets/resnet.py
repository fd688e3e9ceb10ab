"""ResNets."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from benchmarks.nets.layers import classifier, conv_unit


def shortcut(inputs: int, outputs: int, stride: int) -> nn.Module:
    """Returns what stands beside a block: nothing, or a 1x1 convolution where shapes differ."""
    if stride == 1 and inputs == outputs:
        return nn.Identity()
    return conv_unit(inputs, outputs, 1, stride=stride, activation=None)


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut. Source: He et al. 2015, figure 5."""

    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.first = conv_unit(inputs, width, 3, stride=stride)
        self.second = conv_unit(width, width, 3, activation=None)
        self.shortcut = shortcut(inputs, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, width, H / stride, W / stride]."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 with a shortcut; the 3x3 has the stride, as in version 1.5."""

    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int) -> None:
        super().__init__()
        self.reduce = conv_unit(inputs, width, 1)
        self.filter = conv_unit(width, width, 3, stride=stride)
        self.expand = conv_unit(width, self.expansion * width, 1, activation=None)
        self.shortcut = shortcut(inputs, self.expansion * width, stride)

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, 4 * width, H / stride, W / stride]."""
        return torch.relu(self.expand(self.filter(self.reduce(x))) + self.shortcut(x))


def _resnet(block: type[BasicBlock] | type[Bottleneck], counts: tuple[int, ...]) -> nn.Module:
    layers: list[nn.Module] = [conv_unit(3, 64, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, count in enumerate(counts):
        width = 64 << stage
        for index in range(count):
            layers.append(block(inputs, width, 2 if stage > 0 and index == 0 else 1))
            inputs = width * block.expansion
    return nn.Sequential(*layers, *classifier(inputs))


def resnet18() -> nn.Module:
    """Returns ResNet-18. Source: He et al. 2015, table 1."""
    return _resnet(BasicBlock, (2, 2, 2, 2))


def resnet50() -> nn.Module:
    """Returns ResNet-50 v1.5. Source: He et al. 2015, table 1."""
    return _resnet(Bottleneck, (3, 4, 6, 3))
