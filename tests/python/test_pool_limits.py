"""What import says of pools is what conversion does with them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from smidgen.errors import UnsupportedOperatorError
from smidgen.formats.pt2 import read_pt2
from smidgen.pipeline import load_model, plan
from smidgen.pool_limits import pool_warnings
from tests.python.formats.pt2_files import export


@pytest.mark.parametrize(
    ("pool", "problem"),
    [
        (nn.MaxPool2d(2, ceil_mode=True), None),
        (nn.MaxPool2d(3, 2, 1, dilation=2), None),
        (nn.MaxPool2d(3, 3, ceil_mode=True), "padding is (0, 0, 2, 2)"),
        (nn.AvgPool2d(3, 2, 1, ceil_mode=True), None),
        (nn.AvgPool2d(2, ceil_mode=True), "rounds its extent up; set ceil_mode=False"),
    ],
)
def test_a_warning_foretells_a_refusal(
    tmp_path: Path, pool: nn.Module, problem: str | None
) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), pool).eval()
    path = export(tmp_path / "m.pt2", net, torch.randn(2, 1, 15, 15))
    warnings = pool_warnings(read_pt2(path))
    if problem is None:
        assert warnings == ()
        plan(load_model(path))
        return
    (warning,) = warnings
    assert warning.startswith("Calibration and conversion will refuse this model for pools")
    assert "quantized: 1 (" in warning
    assert problem in warning
    with pytest.raises(UnsupportedOperatorError) as caught:
        plan(load_model(path))
    assert problem in caught.value.message


def test_many_pools_are_counted(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> list[torch.Tensor]:
            return [nn.functional.avg_pool2d(x + k, 2, ceil_mode=True) for k in range(10)]

    path = export(tmp_path / "m.pt2", Net(), torch.randn(2, 1, 5, 5))
    (warning,) = pool_warnings(read_pt2(path))
    assert warning.count("rounds its extent up") == 8
    assert "; and 2 more. Change it" in warning
