"""Training leaves torch's settings as they were."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

from smidgen.float_model import FloatModel
from smidgen.qat.torch_state import ONE_THREAD_ELEMENTS, largest_activation, training_state


@pytest.fixture
def graph(import_model: Callable[..., FloatModel]) -> torch.fx.GraphModule:
    return import_model(nn.Sequential(nn.Linear(4, 16), nn.ReLU(), nn.Linear(16, 2)), (4,)).graph


@pytest.fixture
def _two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.usefixtures("_two_threads")
@pytest.mark.parametrize(
    ("batch_size", "threads"), [(32, 1), (ONE_THREAD_ELEMENTS // 16 + 1, 2)], ids=["small", "large"]
)
def test_settings_hold_inside_and_not_after(
    graph: torch.fx.GraphModule, batch_size: int, threads: int
) -> None:
    assert largest_activation(graph) == 16

    def fail() -> None:
        with training_state(graph, batch_size):
            assert torch.are_deterministic_algorithms_enabled()
            assert torch.get_num_threads() == threads
            assert not torch.utils.deterministic.fill_uninitialized_memory
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail()
    assert not torch.are_deterministic_algorithms_enabled()
    assert torch.utils.deterministic.fill_uninitialized_memory
    assert torch.get_num_threads() == 2
