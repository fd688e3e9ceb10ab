"""One seed: a float net, and what its quantized forms answer on images that nothing has seen."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.accuracy.float_training import train_float
from benchmarks.accuracy.split import Split
from smidgen import pipeline
from smidgen.config import LayerPrecision, PrecisionConfig, QATConfig, WeightBits
from smidgen.conversion import Conversion
from smidgen.engine import Engine
from smidgen.float_model import FloatModel

CALIBRATION_COUNT = 256
BATCH = 250
PRECISIONS = {
    "int8": PrecisionConfig(),
    "W4A8": PrecisionConfig(LayerPrecision(WeightBits.INT4)),
}
FLOAT = "float"
FORMS = (FLOAT, *(f"{kind} {bits}" for kind in ("PTQ", "QAT") for bits in PRECISIONS))


@dataclass(frozen=True, slots=True)
class Subject:
    """What is measured.

    Attributes:
        name: Name of the data.
        net: Makes an untrained net [N, 1, H, W] to [N, 10].
        split: Makes the split of a seed.
        float_epochs: Passes of float training.
        config: How to train with quantization simulated, but for the seed.
    """

    name: str
    net: Callable[[], nn.Module]
    split: Callable[[int], Split]
    float_epochs: int
    config: Callable[[int], QATConfig]


@dataclass(frozen=True, slots=True)
class Trial:
    """What one seed brought.

    Attributes:
        seed: The seed of split, weights and order.
        correct: Test images that each of FORMS tells rightly.
        test_count: Test images.
        size_shares: Bytes of the artifact over bytes of the float parameters, by precision.
    """

    seed: int
    correct: Mapping[str, int]
    test_count: int
    size_shares: Mapping[str, float]


def run_trial(subject: Subject, seed: int) -> Trial:
    """Trains, quantizes in every form and tests."""
    split = subject.split(seed)
    torch.manual_seed(seed)
    net = train_float(subject.net(), split, subject.float_epochs)
    model = _imported(net, split)
    (spec,) = model.exported.inputs
    samples = split.training_images[:CALIBRATION_COUNT]
    profile = pipeline.calibrate(model, [{spec.name: samples}])
    correct, shares = {FLOAT: _correct_float(net, split)}, {}
    for bits, precision in PRECISIONS.items():
        converted = pipeline.convert(model, profile, precision=precision)
        trained = pipeline.train_qat(
            model, profile, split.training, subject.config(seed), precision=precision
        )
        correct[f"PTQ {bits}"] = _correct(converted, split)
        correct[f"QAT {bits}"] = _correct(pipeline.convert(model, profile, trained), split)
        shares[bits] = converted.report.artifact_bytes / converted.report.float_bytes
    return Trial(seed, correct, len(split.test_labels), shares)


def _imported(net: nn.Module, split: Split) -> FloatModel:
    example = (torch.from_numpy(split.training_images[:2]),)
    batch = torch.export.Dim("batch", min=1, max=4096)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt2"
        torch.export.save(torch.export.export(net, example, dynamic_shapes=({0: batch},)), path)
        return pipeline.load_model(path)


def _correct_float(net: nn.Module, split: Split) -> int:
    with torch.no_grad():
        found = net(torch.from_numpy(split.test_images)).argmax(dim=1).numpy()
    return int((found == split.test_labels).sum())


def _correct(conversion: Conversion, split: Split) -> int:
    """Counts what the engine tells rightly."""
    engine = Engine(conversion.program)
    (name,), (output,) = conversion.program.inputs, conversion.program.outputs
    total = 0
    for start in range(0, len(split.test_labels), BATCH):
        rows = slice(start, start + BATCH)
        logits = engine.run({name: np.ascontiguousarray(split.test_images[rows])})[output]
        total += int((logits.argmax(axis=1) == split.test_labels[rows]).sum())
    return total
