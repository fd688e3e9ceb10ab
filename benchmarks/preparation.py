"""Makes a subject's files."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn

from benchmarks.conversion import convert
from benchmarks.nets import NETS, Arrays, make_net
from benchmarks.subject import Subject, Weights
from smidgen.artifact import save_artifact
from smidgen.formats.onnx_export import OPSET, Sums, export_onnx
from smidgen.program import Program

CALIBRATION_SAMPLES = 8


def prepare_float(
    name: str, batches: Sequence[int], folder: Path, weights: Weights = "random"
) -> list[Subject]:
    """Writes a net's float model, its samples, and its inputs for each batch size.

    Raises:
        WeightsError: the net's pretrained weights are not there.
    """
    net = NETS[name]
    made = make_net(name, weights)
    samples = net.samples(CALIBRATION_SAMPLES)
    subjects = [Subject(name, batch, folder / name, weights) for batch in batches]
    subjects[0].folder.mkdir()
    subjects[0].save_calibration(samples)
    export_float(made, samples, subjects[0].float_onnx)
    for subject in subjects:
        subject.save_inputs(net.samples(subject.batch, seed=2))
    return subjects


def prepare_program(subject: Subject) -> Program:
    """Converts a net and writes its program, also as an ONNX model.

    Raises:
        SmidgenError: the net has operators that cannot be converted.
    """
    program = convert(make_net(subject.net, subject.weights), subject.calibration())
    save_artifact(program, subject.artifact)
    fused = export_onnx(program, sums=Sums.FUSED)  # as fast as other runtimes can be
    subject.qdq_onnx.write_bytes(fused.SerializeToString())
    return program


def export_float(net: nn.Module, samples: Arrays, path: Path) -> None:
    """Writes a float net as an ONNX model with an open batch size."""
    arguments = tuple(torch.from_numpy(values[:2]) for values in samples.values())
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about tracing, and that the exporter is the older one
        torch.onnx.export(
            net,
            arguments,
            path,
            input_names=list(samples),
            dynamic_axes={name: {0: "batch"} for name in samples},
            opset_version=OPSET,
            dynamo=False,
        )
