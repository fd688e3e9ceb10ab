"""Blocks that several nets are made of."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

Activation = Callable[[], nn.Module]


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


def classifier(inputs: int, classes: int = 1000) -> list[nn.Module]:
    """Returns global average pool and linear layer, [N, inputs, H, W] to [N, classes]."""
    return [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, classes)]


class InvertedResidual(nn.Module):
    """Expansion, depthwise convolution, projection. Source: Sandler et al. 2018, table 1."""

    def __init__(
        self, inputs: int, outputs: int, *, stride: int, expansion: int, kernel: int = 3
    ) -> None:
        super().__init__()
        hidden = inputs * expansion
        layers = [
            conv_unit(hidden, hidden, kernel, stride=stride, groups=hidden, activation=nn.ReLU6),
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
