"""MobileNetV3-Large."""

from __future__ import annotations

from torch import Tensor, nn

from benchmarks.nets.layers import Activation, conv_unit

# Kernel, hidden channels, outputs, has squeeze-excitation, activation, stride.
BLOCKS: tuple[tuple[int, int, int, bool, Activation, int], ...] = (
    (3, 16, 16, False, nn.ReLU, 1),
    (3, 64, 24, False, nn.ReLU, 2),
    (3, 72, 24, False, nn.ReLU, 1),
    (5, 72, 40, True, nn.ReLU, 2),
    (5, 120, 40, True, nn.ReLU, 1),
    (5, 120, 40, True, nn.ReLU, 1),
    (3, 240, 80, False, nn.Hardswish, 2),
    (3, 200, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 184, 80, False, nn.Hardswish, 1),
    (3, 480, 112, True, nn.Hardswish, 1),
    (3, 672, 112, True, nn.Hardswish, 1),
    (5, 672, 160, True, nn.Hardswish, 2),
    (5, 960, 160, True, nn.Hardswish, 1),
    (5, 960, 160, True, nn.Hardswish, 1),
)


class SqueezeExcitation(nn.Module):
    """Weighs each channel by a function of all channels' means. Source: Howard et al. 2019."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        squeezed = round_channels(channels / 4)
        self.weigh = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(channels, squeezed, 1),
            nn.ReLU(),
            nn.Conv2d(squeezed, channels, 1),
            nn.Hardsigmoid(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, C, H, W] to the same shape."""
        weights: Tensor = self.weigh(x)
        return x * weights


class Block(nn.Module):
    """Expansion, depthwise convolution, squeeze-excitation, projection."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        outputs: int,
        *,
        kernel: int,
        stride: int,
        has_squeeze: bool,
        activation: Activation,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(conv_unit(inputs, hidden, 1, activation=activation))
        layers.append(
            conv_unit(hidden, hidden, kernel, stride=stride, groups=hidden, activation=activation)
        )
        if has_squeeze:
            layers.append(SqueezeExcitation(hidden))
        self.layers = nn.Sequential(*layers, conv_unit(hidden, outputs, 1, activation=None))
        self.has_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        y: Tensor = self.layers(x)
        return x + y if self.has_residual else y


def round_channels(count: float) -> int:
    """Rounds to a multiple of 8, down by at most a tenth. Source: Sandler et al. 2018's code."""
    rounded = max(8, int(count + 4) // 8 * 8)
    return rounded + 8 if rounded < 0.9 * count else rounded


def mobilenet_v3_large() -> nn.Module:
    """Returns MobileNetV3-Large. Source: Howard et al. 2019, table 1."""
    layers: list[nn.Module] = [conv_unit(3, 16, 3, stride=2, activation=nn.Hardswish)]
    inputs = 16
    for kernel, hidden, outputs, has_squeeze, activation, stride in BLOCKS:
        layers.append(
            Block(
                inputs,
                hidden,
                outputs,
                kernel=kernel,
                stride=stride,
                has_squeeze=has_squeeze,
                activation=activation,
            )
        )
        inputs = outputs
    layers.append(conv_unit(inputs, 960, 1, activation=nn.Hardswish))
    head = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(960, 1280), nn.Hardswish()]
    return nn.Sequential(*layers, *head, nn.Linear(1280, 1000))
