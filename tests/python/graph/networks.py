"""Small networks of the usual families, with random statistics."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


def randomize(module: nn.Module) -> nn.Module:
    """Gives batch normalizations random statistics and weights, and returns the module."""
    generator = torch.Generator().manual_seed(7)
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.BatchNorm1d) and part.running_mean is not None:
            part.running_mean.normal_(0, 0.3, generator=generator)
            part.running_var.uniform_(0.5, 1.5, generator=generator)
            if part.affine:
                nn.init.uniform_(part.weight, 0.5, 1.5, generator=generator)
                nn.init.normal_(part.bias, 0, 0.3, generator=generator)
    return module


class InvertedResidual(nn.Module):
    """The block of MobileNetV2."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        hidden = 4 * channels
        self.is_residual = stride == 1 and channels == out_channels
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(),
            nn.Conv2d(hidden, hidden, 3, stride, 1, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            nn.ReLU6(inplace=True),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


class MobileNet(nn.Module):
    """Stem, inverted residuals, global pooling, dropout and a classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 3, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(inplace=True)
        )
        self.blocks = nn.Sequential(InvertedResidual(8, 8, 1), InvertedResidual(8, 12, 2))
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(12, 10)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        features = self.pool(self.blocks(self.stem(image)))
        return self.classifier(self.dropout(torch.flatten(features, 1)))


class BasicBlock(nn.Module):
    """The block of ResNet-18, with in-place activations and addition."""

    def __init__(self, channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, out_channels, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.downsample = None
        if stride != 1 or channels != out_channels:
            self.downsample = nn.Sequential(
                nn.Conv2d(channels, out_channels, 1, stride, bias=False),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        identity = x if self.downsample is None else self.downsample(x)
        out = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        out += identity
        return self.relu(out)


class ResNet(nn.Module):
    """ResNet-18 with few channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 8, 7, 2, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, 1),
        )
        widths = [(8, 8, 1), (8, 8, 1), (8, 12, 2), (12, 12, 1), (12, 16, 2), (16, 16, 1)]
        self.layers = nn.Sequential(*(BasicBlock(*width) for width in widths))
        self.pool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(self.pool(self.layers(self.stem(x))).flatten(1))


class Vgg(nn.Module):
    """VGG: plain convolutions, adaptive pooling to a grid, dropout and linear layers."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(8, 12, 3, padding="same"), nn.ReLU(inplace=True), nn.AvgPool2d(2),
            nn.AdaptiveAvgPool2d((4, 4)),
        )  # fmt: skip
        self.classifier = nn.Sequential(
            nn.Linear(12 * 16, 24), nn.ReLU(True), nn.Dropout(),
            nn.Linear(24, 16), nn.ReLU(True), nn.Dropout(), nn.Linear(16, 7),
        )  # fmt: skip

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = self.features(x)
        return self.classifier(features.view(features.size(0), -1))


class ConcatNet(nn.Module):
    """A fire module of SqueezeNet followed by a dense block."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(3, 4, 1)
        self.left = nn.Conv2d(4, 6, 1)
        self.right = nn.Conv2d(4, 6, 3, padding=1)
        self.bn = nn.BatchNorm2d(12)
        self.growth = nn.Conv2d(12, 4, 3, padding=1, bias=False)
        self.head = nn.Conv2d(16, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.relu(self.squeeze(x))
        x = torch.cat([F.relu(self.left(x)), F.relu(self.right(x))], 1)
        x = torch.cat([x, self.growth(F.relu(self.bn(x)))], dim=-3)
        return F.hardswish(self.head(x)).mean([2, 3])


class SqueezeExcitation(nn.Module):
    """Scales each channel by what the channel means say."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1 = nn.Conv2d(channels, hidden, 1)
        self.fc2 = nn.Conv2d(hidden, channels, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        scale = F.relu(self.fc1(F.adaptive_avg_pool2d(x, 1)))
        return F.hardsigmoid(self.fc2(scale)) * x


class MobileBlock(nn.Module):
    """The block of MobileNetV3."""

    def __init__(
        self, channels: int, hidden: int, outs: int, kernel: int, stride: int, *, has_se: bool
    ) -> None:
        super().__init__()
        self.is_residual = stride == 1 and channels == outs
        activation = nn.Hardswish if has_se else nn.ReLU
        self.layers = nn.Sequential(
            nn.Conv2d(channels, hidden, 1, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            nn.Conv2d(hidden, hidden, kernel, stride, kernel // 2, groups=hidden, bias=False),
            nn.BatchNorm2d(hidden),
            activation(),
            SqueezeExcitation(hidden, hidden // 4) if has_se else nn.Identity(),
            nn.Conv2d(hidden, outs, 1, bias=False),
            nn.BatchNorm2d(outs),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.layers(x) if self.is_residual else self.layers(x)


class MobileNetV3(nn.Module):
    """MobileNetV3-Large with few channels and blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16), nn.Hardswish(inplace=True)
        )
        self.blocks = nn.Sequential(
            MobileBlock(16, 16, 16, 3, 1, has_se=False),
            MobileBlock(16, 32, 24, 5, 2, has_se=True),
            MobileBlock(24, 48, 24, 5, 1, has_se=True),
        )
        self.last = nn.Sequential(
            nn.Conv2d(24, 64, 1, bias=False), nn.BatchNorm2d(64), nn.Hardswish()
        )
        self.classifier = nn.Sequential(
            nn.Linear(64, 48), nn.Hardswish(inplace=True), nn.Dropout(0.2), nn.Linear(48, 10)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        features = F.adaptive_avg_pool2d(self.last(self.blocks(self.stem(x))), 1)
        return self.classifier(features.flatten(1))


class FunctionalNet(nn.Module):
    """Functions instead of modules, written in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 6, 3, stride=2, padding=1)
        self.fc = nn.Linear(6, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        z = F.relu_(y)
        y += z
        z = torch.clamp(z, 0, 3) + F.leaky_relu(y, 0.1) + F.silu(z) + F.hardsigmoid(y)
        z = F.dropout(F.adaptive_avg_pool2d(z, 1), 0.5, self.training)
        return torch.tanh(self.fc(z.squeeze(-1).squeeze(-1)))


NETWORKS: dict[str, tuple[type[nn.Module], tuple[int, ...]]] = {
    "mobilenet": (MobileNet, (3, 32, 32)),
    "mobilenet_v3": (MobileNetV3, (3, 32, 32)),
    "resnet": (ResNet, (3, 40, 40)),
    "vgg": (Vgg, (3, 32, 32)),
    "concat": (ConcatNet, (3, 12, 10)),
    "functional": (FunctionalNet, (3, 9, 9)),
}
