"""Nets that have learned something, where no package has their weights: to tell digits apart.

Random weights say little of how far a difference is carried: such nets have nothing to do with
their inputs. scikit-learn's scanned digits are enlarged to the size that a net reads.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional

from examples.digits.data import load_split

EPOCHS, BATCH, LEARNING_RATE = 3, 32, 1e-3
NOISE, SHIFT = 0.05, 4  # of the copies of digits: standard deviation, and pixels to the right


def train_on_digits(net: nn.Module, pixels: int) -> nn.Module:
    """Trains a net [N, 3, pixels, pixels] to [N, at least 10]; returns it in evaluation mode."""
    torch.manual_seed(0)
    split = load_split()
    images, labels = split.training_images, torch.from_numpy(split.training_labels)
    optimizer = torch.optim.Adam(net.parameters(), LEARNING_RATE)
    net.train()
    for _ in range(EPOCHS):
        for chosen in torch.randperm(len(labels)).split(BATCH):
            batch = torch.from_numpy(enlarge(images[chosen.numpy()], pixels))
            optimizer.zero_grad()
            functional.cross_entropy(net(batch), labels[chosen]).backward()
            optimizer.step()
    return net.eval()


def digit_images(count: int, pixels: int) -> NDArray[np.float32]:
    """Returns digits that were not trained on, [count, 3, pixels, pixels], with a little noise.

    From the second round on they are moved to the right.
    """
    images = load_split().test_images
    places = np.arange(count)
    enlarged = enlarge(images[places % len(images)], pixels)
    for round_number in range(1, -(-count // len(images))):
        chosen = places // len(images) == round_number
        enlarged[chosen] = np.roll(enlarged[chosen], SHIFT * round_number, axis=3)
    noise = np.random.default_rng(0).standard_normal(enlarged.shape, np.float32)
    return enlarged + np.float32(NOISE) * noise


def enlarge(images: NDArray[np.float32], pixels: int) -> NDArray[np.float32]:
    """Makes images [N, 1, H, W] those of a photograph, [N, 3, pixels, pixels]."""
    found = functional.interpolate(torch.from_numpy(images), (pixels, pixels), mode="bilinear")
    enlarged: NDArray[np.float32] = found.repeat(1, 3, 1, 1).numpy()
    return enlarged
