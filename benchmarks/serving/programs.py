"""The programs that are served: one with next to no work, and networks for pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.conversion import convert
from benchmarks.nets import NETS, make_net
from benchmarks.subject import Weights
from smidgen.artifact import save_artifact
from smidgen.config import Preprocessing
from smidgen.pipeline import with_preprocessing
from smidgen.program import Program

FEATURES = 16
NET, PIXELS = "efficientnet_lite0", 224
IMAGE_NETS = (NET, "mobilenet_v2", "resnet18", "resnet50")
PREPROCESSING = Preprocessing(scale=1.0, mean=(127.0,) * 3, std=(128.0,) * 3)
_SAMPLES = 8


def trivial_program() -> Program:
    """Returns one small linear layer, [N, FEATURES] to [N, FEATURES]."""
    torch.manual_seed(0)
    samples = np.random.default_rng(0).standard_normal((_SAMPLES, FEATURES), np.float32)
    return convert(nn.Sequential(nn.Linear(FEATURES, FEATURES)).eval(), {"input": samples})


def image_program(weights: Weights, net: str = NET) -> Program:
    """Returns one of IMAGE_NETS, [N, 3, PIXELS, PIXELS] to [N, 1000], with a preprocessing.

    Raises:
        WeightsError: the pretrained weights are not there.
    """
    program = convert(make_net(net, weights), NETS[net].samples(_SAMPLES))
    return with_preprocessing(program, PREPROCESSING)


def save(program: Program, folder: Path, name: str) -> Path:
    """Writes a program as an artifact and returns the file."""
    path = folder / f"{name}.smidgen"
    save_artifact(program, path)
    return path
