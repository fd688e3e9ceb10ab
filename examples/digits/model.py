"""A small convolutional net in the manner of MobileNetV2, and how it is trained in float."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from examples.digits.data import Digits

EPOCHS = 20
BATCH_SIZE = 64
LEARNING_RATE = 3e-3
SEED = 7


def conv_unit(
    inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    """Returns convolution, batch norm and ReLU6; same padding."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(),
    )


class SeparableBlock(nn.Module):
    """Expands, filters each channel by itself, projects; adds its input where the shapes allow."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, expansion: int = 3) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = conv_unit(inputs, hidden, 1)
        self.depthwise = conv_unit(hidden, hidden, 3, stride=stride, groups=hidden)
        self.project = nn.Sequential(
            nn.Conv2d(hidden, outputs, 1, bias=False), nn.BatchNorm2d(outputs)
        )
        self.has_residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """Maps [N, inputs, H, W] to [N, outputs, H / stride, W / stride]."""
        y: Tensor = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_residual else y


class DigitNet(nn.Module):
    """Maps images [N, 1, 8, 8] to logits [N, 10]."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            conv_unit(1, 32, 3),
            SeparableBlock(32, 48),
            SeparableBlock(48, 48),
            SeparableBlock(48, 96, stride=2),
            SeparableBlock(96, 96),
            SeparableBlock(96, 96),
            conv_unit(96, 256, 1),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(256, 10)

    def forward(self, image: Tensor) -> Tensor:
        """Maps [N, 1, 8, 8] to [N, 10]."""
        logits: Tensor = self.classifier(torch.flatten(self.pool(self.features(image)), 1))
        return logits


def train(digits: Digits, on_epoch: Callable[[int, float], None]) -> DigitNet:
    """Trains a DigitNet from scratch; on_epoch gets the epoch, from 1, and its mean loss."""
    torch.manual_seed(SEED)
    model = DigitNet().train()
    images, labels = map(torch.from_numpy, (digits.training_images, digits.training_labels))
    batches = DataLoader(TensorDataset(images, labels), BATCH_SIZE, shuffle=True, drop_last=True)
    optimizer = torch.optim.AdamW(model.parameters(), LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=EPOCHS * len(batches)
    )
    for epoch in range(1, EPOCHS + 1):
        losses = []
        for batch, targets in batches:
            loss = nn.functional.cross_entropy(model(batch), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            losses.append(float(loss.detach()))
        on_epoch(epoch, float(np.mean(losses)))
    return model.eval()


def predict(model: nn.Module, images: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns the most likely class of each image, [N] int64."""
    with torch.no_grad():
        classes: NDArray[np.int64] = model(torch.from_numpy(images)).argmax(dim=1).numpy()
    return classes


def export(model: DigitNet, path: Path) -> None:
    """Writes the model with torch.export as a `.pt2` whose batch may have any size."""
    example = (torch.zeros(2, 1, 8, 8),)
    batch = torch.export.Dim("batch", min=1, max=4096)
    torch.export.save(torch.export.export(model, example, dynamic_shapes=({0: batch},)), path)
