"""Trains the float nets that are quantized afterwards."""

from __future__ import annotations

import torch
from torch import nn

from benchmarks.accuracy.split import Split

BATCH_SIZE = 64
LEARNING_RATE = 3e-3


def train_float(net: nn.Module, split: Split, epochs: int) -> nn.Module:
    """Trains a net by cross-entropy and returns it in eval mode; torch's seed decides the order."""
    images = torch.from_numpy(split.training_images)
    labels = torch.from_numpy(split.training_labels)
    steps = len(labels) // BATCH_SIZE
    optimizer = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, LEARNING_RATE, total_steps=epochs * steps
    )
    net.train()
    for _ in range(epochs):
        order = torch.randperm(len(labels))[: steps * BATCH_SIZE]
        for chosen in order.split(BATCH_SIZE):
            loss = nn.functional.cross_entropy(net(images[chosen]), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    return net.eval()
