"""EfficientNet-lite0."""

from __future__ import annotations

from torch import nn

from benchmarks.nets.layers import InvertedResidual, classifier, conv_unit

# Expansion, outputs, count, stride of the first, kernel.
STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)


def efficientnet_lite0() -> nn.Module:
    """Returns EfficientNet-lite0: Tan and Le 2019, table 1, ReLU6 and no squeeze-excitation."""
    layers: list[nn.Module] = [conv_unit(3, 32, 3, stride=2, activation=nn.ReLU6)]
    inputs = 32
    for expansion, outputs, count, stride, kernel in STAGES:
        for index in range(count):
            step = stride if index == 0 else 1
            layers.append(
                InvertedResidual(inputs, outputs, stride=step, expansion=expansion, kernel=kernel)
            )
            inputs = outputs
    layers.append(conv_unit(inputs, 1280, 1, activation=nn.ReLU6))
    return nn.Sequential(*layers, *classifier(1280))
