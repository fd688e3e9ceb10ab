"""From a net to its integer program."""

from __future__ import annotations

import tempfile
from pathlib import Path

import torch
from torch import nn

from benchmarks.nets import Arrays
from smidgen.pipeline import quantize
from smidgen.program import Program

MOST_SAMPLES = 64


def convert(net: nn.Module, samples: Arrays) -> Program:
    """Returns the program of a net, calibrated on the samples, with an open batch size.

    Raises:
        SmidgenError: the net has operators that cannot be converted.
    """
    example = tuple(torch.from_numpy(values[:2]) for values in samples.values())
    batch = torch.export.Dim("batch", max=MOST_SAMPLES)
    exported = torch.export.export(net, example, dynamic_shapes=tuple({0: batch} for _ in example))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt2"
        torch.export.save(exported, path)
        return quantize(path, samples).program
