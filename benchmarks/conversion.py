"""From a net to its integer program."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from smidgen.pipeline import quantize
from smidgen.program import Program

MOST_SAMPLES = 64


def convert(net: nn.Module, samples: NDArray[np.float32]) -> Program:
    """Returns the program of a net on images, calibrated on the samples, with an open batch size.

    Raises:
        UnsupportedOperatorError: the net has operators that cannot be converted.
    """
    dynamic = ({0: torch.export.Dim("batch", max=MOST_SAMPLES)},)
    exported = torch.export.export(net, (torch.from_numpy(samples[:2]),), dynamic_shapes=dynamic)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt2"
        torch.export.save(exported, path)
        return quantize(path, samples).program
