from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen.formats.pt2 import read_pt2
from smidgen.graph.build import build_graph
from smidgen.graph.operations import BatchNorm, Linear

FOLDER = Path(__file__).parents[2] / "data" / "torch_versions"
VERSIONS = ("2.9", "2.13", "2.14")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_files_of_each_version_of_torch_give_what_the_model_gave(version: str, mode: str) -> None:
    arrays = np.load(FOLDER / f"net-{version}.npz")

    exported = read_pt2(FOLDER / f"net-{mode}-{version}.pt2")
    with torch.no_grad():
        found = build_graph(exported)(torch.from_numpy(arrays["image"]))

    assert [spec.shape for spec in exported.inputs] == [(None, 3, 8, 8)]
    assert exported.batch_range == (2, 64)
    for index, output in enumerate(found):
        np.testing.assert_allclose(output.numpy(), arrays[f"output_{index}"], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("version", VERSIONS)
def test_weights_that_a_file_ties_are_one_parameter(version: str) -> None:
    exported = read_pt2(FOLDER / f"net-eval-{version}.pt2")

    layers = [n.operation for n in exported.nodes if isinstance(n.operation, Linear)]
    first, second = (exported.weights[layer.weight] for layer in layers)

    assert first.ctypes.data == second.ctypes.data
    # 216 + 16 in the stem and its norm, 80 and 72 in the convolutions, 32 + 4 + 4 in the heads.
    assert exported.parameter_count == 424


@pytest.mark.parametrize("version", VERSIONS)
def test_a_model_exported_in_training_mode_keeps_its_batch_norm(version: str) -> None:
    exported = read_pt2(FOLDER / f"net-train-{version}.pt2")

    (norm,) = [n.operation for n in exported.nodes if isinstance(n.operation, BatchNorm)]

    assert (norm.momentum, norm.eps) == (0.1, 1e-5)
    assert exported.weights[norm.running_var].shape == (8,)
