"""Functions of one input, exported and imported together, and what both compute."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from smidgen.formats.pt2 import read_pt2
from smidgen.graph.build import build_graph
from tests.python.formats.pt2_files import export
from tests.python.graph.test_operator_forms import Functions

Function = Callable[[torch.Tensor], torch.Tensor]
Computed = dict[str, tuple[torch.Tensor, torch.Tensor]]


def compute_both(
    forms: Mapping[str, Function], sample_shape: tuple[int, ...], folder: Path
) -> Computed:
    """Returns what each form is expected to give for a batch of 5, and what it gives after import.

    Args:
        forms: The functions by name.
        sample_shape: Shape of one sample.
        folder: Where the exported file goes.
    """
    keys = {f"f{index}": name for index, name in enumerate(forms)}
    torch.manual_seed(0)
    module = Functions({key: forms[name] for key, name in keys.items()}, {}).eval()
    example, inputs = (torch.randn(count, *sample_shape) for count in (2, 5))
    model = read_pt2(export(folder / "m.pt2", module, example))
    with torch.no_grad():
        expected, found = module(inputs), build_graph(model)(inputs)
    names = [spec.name for spec in model.outputs]
    return {keys[key]: (expected[key], value) for key, value in zip(names, found, strict=True)}
