"""Makes a subject's files."""

from __future__ import annotations

from pathlib import Path

from benchmarks.conversion import convert
from benchmarks.nets import NETS
from benchmarks.subject import Subject
from smidgen.artifact import save_artifact
from smidgen.formats.onnx_export import export_onnx
from smidgen.program import Program

CALIBRATION_SAMPLES = 8


def prepare(name: str, batches: list[int], folder: Path) -> tuple[Program, list[Subject]]:
    """Converts a net and writes its program and inputs for each batch size.

    Raises:
        UnsupportedOperatorError: the net has operators that cannot be converted.
    """
    net = NETS[name]
    program = convert(net.random(), net.samples(CALIBRATION_SAMPLES))
    model = export_onnx(program)
    subjects = []
    for batch in batches:
        subject = Subject(name, batch, folder / f"{name}-{batch}")
        subject.folder.mkdir()
        save_artifact(program, subject.artifact)
        subject.qdq_onnx.write_bytes(model.SerializeToString())
        subject.save_inputs({program.inputs[0]: net.samples(batch, seed=2)})
        subjects.append(subject)
    return program, subjects
