"""Fixtures for tests of the benchmarks."""

from __future__ import annotations

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Small tensors are slower on several threads, much so on a busy machine."""
    torch.set_num_threads(1)
