"""Well-known nets with random weights, written out so that nothing is downloaded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from examples.digits.model import DigitNet

Activation = Callable[[], nn.Module]


@dataclass(frozen=True, slots=True)
class Net:
    """A net and the shape of one of its images, [C, H, W]."""

    build: Callable[[], nn.Module]
    image_shape: tuple[int, int, int]


def conv_unit(
    inputs: int,
    outputs: int,
    kernel: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: Activation | None = nn.ReLU,
) -> nn.Sequential:
    """Returns convolution with same padding, batch norm, and an activation if there is one."""
    layers: list[nn.Module] = [
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    return nn.Sequential(*layers, *([activation()] if activation else []))


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with a shortcut. Source: He et al. 2015, figure 5."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.first = conv_unit(inputs, outputs, 3, stride=stride)
        self.second = conv_unit(outputs, outputs, 3, activation=None)
        is_same = stride == 1 and inputs == outputs
        self.shortcut = (
            nn.Identity()
            if is_same
            else conv_unit(inputs, outputs, 1, stride=stride, activation=None)
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        return torch.relu(self.second(self.first(x)) + self.shortcut(x))


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection. Source: Sandler et al. 2018, table 1."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [
            conv_unit(hidden, hidden, 3, stride=stride, groups=hidden, activation=nn.ReLU6),
            conv_unit(hidden, outputs, 1, activation=None),
        ]
        if expansion > 1:
            layers.insert(0, conv_unit(inputs, hidden, 1, activation=nn.ReLU6))
        self.layers = nn.Sequential(*layers)
        self.has_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.has_residual else y


def resnet18() -> nn.Module:
    """Returns ResNet-18. Source: He et al. 2015, table 1."""
    layers: list[nn.Module] = [conv_unit(3, 64, 7, stride=2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for outputs, stride in ((64, 1), (128, 2), (256, 2), (512, 2)):
        layers += [BasicBlock(inputs, outputs, stride), BasicBlock(outputs, outputs, 1)]
        inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))


def mobilenet_v2() -> nn.Module:
    """Returns MobileNetV2. Source: Sandler et al. 2018, table 2."""
    layers: list[nn.Module] = [conv_unit(3, 32, 3, stride=2, activation=nn.ReLU6)]
    inputs = 32
    table = (
        (1, 16, 1, 1),
        (6, 24, 2, 2),
        (6, 32, 3, 2),
        (6, 64, 4, 2),
        (6, 96, 3, 1),
        (6, 160, 3, 2),
        (6, 320, 1, 1),
    )
    for expansion, outputs, count, stride in table:
        for index in range(count):
            step = stride if index == 0 else 1
            layers.append(InvertedResidual(inputs, outputs, step, expansion))
            inputs = outputs
    layers.append(conv_unit(320, 1280, 1, activation=nn.ReLU6))
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))


NETS = {
    "digits": Net(DigitNet, (1, 8, 8)),
    "mobilenet_v2": Net(mobilenet_v2, (3, 224, 224)),
    "resnet18": Net(resnet18, (3, 224, 224)),
}
