"""`smidgen inspect` shows what is in a file."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest
import torch
from torch import nn

from tests.python.cli.conftest import Smidgen
from tests.python.formats.pt2_files import export


@pytest.fixture
def pt2(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 3), nn.Softmax(1))
    return export(tmp_path / "net.pt2", net.eval(), torch.zeros(2, 4))


def test_a_document_for_programs(offline: Smidgen, pt2: Path) -> None:
    document = offline("inspect", pt2, "--json").document
    assert document["path"] == str(pt2)
    assert document["operators"] == {"linear": 2, "relu": 1, "softmax": 1}
    assert document["parameter_count"] == 4 * 8 + 8 + 8 * 3 + 3
    assert document["multiplications"] == 4 * 8 + 8 * 3
    assert document["inputs"] == [
        {"name": "input", "dtype": "float32", "shape": [None, 4], "index_count": None}
    ]
    assert document["layers"][3]["placement"] == {
        "is_quantized": False,
        "reason": "FLOAT",
        "detail": "softmax has no integer step",
    }


def test_a_table_for_people(offline: Smidgen, pt2: Path) -> None:
    text = offline("inspect", pt2).out
    assert "2 linear, 1 relu, 1 softmax" in text
    assert "float32 [?, 8]" in text
    assert "FUSED: part of v0" in text
    assert "FLOAT: softmax has no integer step" in text
    assert "56 for one sample" in text
    assert "2 layers" in text


def test_without_torch_it_says_what_to_install(
    offline: Smidgen, pt2: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    assert "install smidgen[optimize] to see" in offline("inspect", pt2).out


def test_what_convert_would_refuse_is_counted(offline: Smidgen, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Conv2d(1, 2, 3), nn.AvgPool2d(3, 2, ceil_mode=True))
    path = export(tmp_path / "net.pt2", net.eval(), torch.zeros(2, 1, 8, 8))
    text = offline("inspect", path).out
    assert "1 layer, convert would refuse it" in text
    assert "set ceil_mode=False (pooling.py:" in " ".join(text.split())


def test_a_model_in_training_mode_is_told(offline: Smidgen, tmp_path: Path) -> None:
    net = nn.Sequential(nn.Linear(4, 3), nn.Dropout(0.5))
    path = export(tmp_path / "net.pt2", net.train(), torch.zeros(2, 4))
    (warning,) = offline("inspect", path, "--json").document["warnings"]
    assert "was exported in training mode: dropout in 1" in warning
    assert "was exported in training mode" in offline("inspect", path).out


def test_a_named_pipe_is_refused_at_once(offline: Smidgen, tmp_path: Path) -> None:
    path = tmp_path / "net.pt2"
    os.mkfifo(path)
    refused = offline("inspect", path, "--json")
    assert refused.code == 2
    assert refused.error["reason"] == "FILE_UNUSABLE"
    assert "it is a named pipe, expected a regular file" in refused.error["message"]


def test_unsupported_operators_are_all_told(offline: Smidgen, tmp_path: Path) -> None:
    net = nn.Sequential(nn.RReLU(), nn.LPPool2d(2, 2))
    path = export(tmp_path / "net.pt2", net.eval(), torch.ones(2, 1, 8, 8))
    refused = offline("inspect", path, "--json")
    assert refused.code == 2
    assert refused.error["reason"] == "UNSUPPORTED_OPERATOR"
    assert "aten.rrelu.default at rrelu in 0 (" in refused.error["message"]
