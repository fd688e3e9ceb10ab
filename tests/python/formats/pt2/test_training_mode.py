"""Models that were exported in training mode say so."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from smidgen.formats.pt2 import read_pt2
from tests.python.formats.pt2_files import export


def _net() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))


@pytest.mark.parametrize("decompose", [False, True])
def test_an_export_in_training_mode_warns(decompose: bool, tmp_path: Path) -> None:
    example = torch.randn(3, 1, 8, 8)
    net = _net() if not decompose else _net()[:2]
    path = export(tmp_path / "m.pt2", net.train(), example, decompose=decompose)
    (warning,) = read_pt2(path).warnings
    operator = "_native_batch_norm_legit_functional" if decompose else "batch_norm"
    assert f"The model was exported in training mode: {operator} in 1" in warning
    assert "batch normalizations use their running statistics" in warning
    assert "call eval() and export it again" in warning


def test_one_that_is_left_in_training_form_is_named_alone(tmp_path: Path) -> None:
    net = _net().eval()
    net[2].train()
    (warning,) = read_pt2(export(tmp_path / "m.pt2", net, torch.randn(3, 1, 8, 8))).warnings
    assert "in training mode: dropout in 2. It is read" in warning


def test_an_export_in_evaluation_mode_does_not_warn(tmp_path: Path) -> None:
    path = export(tmp_path / "m.pt2", _net().eval(), torch.randn(3, 1, 8, 8))
    assert read_pt2(path).warnings == ()
