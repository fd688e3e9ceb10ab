"""MobileNetV2."""

from __future__ import annotations

from torch import nn

from benchmarks.nets.layers import InvertedResidual, classifier, conv_unit

# Expansion, outputs, count, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def mobilenet_v2() -> nn.Module:
    """Returns MobileNetV2. Source: Sandler et al. 2018, table 2."""
    layers: list[nn.Module] = [conv_unit(3, 32, 3, stride=2, activation=nn.ReLU6)]
    inputs = 32
    for expansion, outputs, count, stride in STAGES:
        for index in range(count):
            step = stride if index == 0 else 1
            layers.append(InvertedResidual(inputs, outputs, stride=step, expansion=expansion))
            inputs = outputs
    layers.append(conv_unit(inputs, 1280, 1, activation=nn.ReLU6))
    return nn.Sequential(*layers, *classifier(1280))
