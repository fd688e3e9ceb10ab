"""All architectures of the coverage run."""

from __future__ import annotations

from benchmarks.coverage import pytorchcv_nets, transformers_nets
from benchmarks.coverage.architecture import Architecture

ARCHITECTURES: tuple[Architecture, ...] = (
    *transformers_nets.ARCHITECTURES,
    *pytorchcv_nets.ARCHITECTURES,
)


def find(name: str) -> Architecture:
    """Returns the architecture of a name.

    Raises:
        KeyError: There is none.
    """
    return {architecture.name: architecture for architecture in ARCHITECTURES}[name]
