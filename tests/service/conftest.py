"""A real server in a process of its own, and small models and datasets to send to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from smidgen_service.logs import REQUEST_ID
from smidgen_service.security.principals import CALLER
from smidgen_service.store.tenancy import DEFAULT_TENANT, act_for
from smidgen_service.tracing import stages
from smidgen_service.tracing.current import CALL_SPAN
from tests.service.running_server import RunningServer, start_server

# What tests do to a store directly, they do for the tenant that a server without tokens has.
act_for(DEFAULT_TENANT)

SAMPLES = 96
CLASSES = 4


@pytest.fixture(autouse=True)
def _no_call_is_left() -> Iterator[None]:
    """Fails a test after which this thread still seems to answer a call: the next would find it."""
    yield
    left = (CALL_SPAN.get(), stages.CURRENT.get(), CALLER.get(), REQUEST_ID.get())
    assert left == (None, None, None, "")


class SmallNet(nn.Module):
    """Two convolutions and a classifier; small enough to train in a second."""

    def __init__(self, channels: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 4, 3, padding=1),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, CLASSES),
        )

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.body(image)


class UnsupportedNet(nn.Module):
    """Uses an operator outside the table."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return torch.fft.fft(image).abs()


def export(module: nn.Module, path: Path, *shape: int) -> Path:
    """Writes a module with a dynamic batch as a .pt2 file."""
    batch = torch.export.Dim("batch")
    program = torch.export.export(
        module.eval(), (torch.zeros(2, *shape),), dynamic_shapes=({0: batch},)
    )
    torch.export.save(program, path)
    return path


@pytest.fixture(scope="session")
def model_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(0)
    return export(SmallNet(), tmp_path_factory.mktemp("models") / "small.pt2", 1, 8, 8).read_bytes()


@pytest.fixture(scope="session")
def other_model_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("models") / "other.pt2"
    return export(SmallNet(3), path, 3, 8, 8).read_bytes()


@pytest.fixture(scope="session")
def unsupported_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("models") / "unsupported.pt2"
    return export(UnsupportedNet(), path, 1, 8, 8).read_bytes()


@pytest.fixture(scope="session")
def images() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(SAMPLES, 1, 8, 8)).astype(np.float32)


@pytest.fixture(scope="session")
def labels() -> np.ndarray:
    return np.random.default_rng(1).integers(0, CLASSES, SAMPLES)


@pytest.fixture
def dataset_file(tmp_path: Path) -> Callable[..., bytes]:
    """Returns a function that writes arrays as an .npz file and returns its bytes."""

    def write(**arrays: np.ndarray) -> bytes:
        path = tmp_path / "dataset.npz"
        np.savez(path, **arrays)
        return path.read_bytes()

    return write


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServer]:
    """One server for all tests of a module."""
    running = start_server(tmp_path_factory.mktemp("data") / "store")
    try:
        yield running
    finally:
        running.stop()
