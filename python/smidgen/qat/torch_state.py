"""Settings of torch that training changes for its own time."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

import torch
from torch import fx

ONE_THREAD_ELEMENTS = 2**20
"""Up to this many elements in the largest activation of a batch, one thread is the fastest."""


@contextmanager
def training_state(graph: fx.GraphModule, batch_size: int) -> Iterator[None]:
    """Makes torch repeat its results, and keeps small models on one thread; restores both after.

    Threads that share little work spend their time on waiting for each other: on a busy machine
    two of them can be ten times slower than one. New tensors are not filled before they are
    written, which would be a pass over each of them: no operator here reads what it has not
    written.

    Args:
        graph: What will be trained.
        batch_size: Samples a step.
    """
    were_deterministic = torch.are_deterministic_algorithms_enabled()
    only_warned = torch.is_deterministic_algorithms_warn_only_enabled()
    filling = cast("Any", torch.utils.deterministic)  # torch has no type for what it offers
    was_filled = filling.fill_uninitialized_memory
    threads = torch.get_num_threads()
    filling.fill_uninitialized_memory = False
    torch.use_deterministic_algorithms(True)
    if largest_activation(graph) * batch_size <= ONE_THREAD_ELEMENTS:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        filling.fill_uninitialized_memory = was_filled
        torch.use_deterministic_algorithms(were_deterministic, warn_only=only_warned)


def largest_activation(graph: fx.GraphModule) -> int:
    """Returns the elements of the largest activation of one sample."""
    shapes: list[tuple[int, ...]] = [
        node.meta["shape"] for node in graph.graph.nodes if node.op != "output"
    ]
    return max(math.prod(shape[1:]) for shape in shapes)
