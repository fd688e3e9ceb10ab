"""Fixtures for tests of the float side."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from smidgen.float_model import FloatModel, load_model

ImportModel = Callable[..., FloatModel]


@pytest.fixture(scope="session", autouse=True)
def _one_torch_thread() -> None:
    """Small tensors are slower on several threads, much so on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def import_model(tmp_path_factory: pytest.TempPathFactory) -> ImportModel:
    """Returns a function that exports a module with a dynamic batch and imports the file."""

    def run(
        module: nn.Module, *shapes: tuple[int, ...], is_batch_dynamic: bool = True
    ) -> FloatModel:
        path: Path = tmp_path_factory.mktemp("model") / "model.pt2"
        examples = tuple(torch.zeros(2, *shape) for shape in shapes)
        batch = torch.export.Dim("batch")
        dynamic = tuple({0: batch} for _ in shapes) if is_batch_dynamic else None
        torch.export.save(
            torch.export.export(module.eval(), examples, dynamic_shapes=dynamic), path
        )
        return load_model(path)

    return run
