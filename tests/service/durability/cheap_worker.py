"""A worker of jobs that imports no torch: it writes the files of one, and sends its frames."""

from __future__ import annotations

import hashlib
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

from smidgen.artifact import encode_artifact
from smidgen.durable_file import write_durably
from smidgen.progress import Stage
from smidgen.qat.curve import EMPTY_CURVE
from smidgen.report import NodeReport, QuantizationReport
from smidgen.sealed_file import read_sealed, write_sealed
from smidgen_service.jobs.frames import Frame
from tests.python.test_engine_limits import padding_program

STEPS = 3
TRAINED = b"trained weights " * 500
CURVE = EMPTY_CURVE.to_document()
REPORT = QuantizationReport((NodeReport("v0", "conv2d", True),), float_bytes=4).to_dict()
ARTIFACT = encode_artifact(padding_program(padding=2))


class CheapWorker:
    """Stands for WorkerProcess. Writes a checkpoint at every step, and goes on from the last."""

    pid = 0

    def __init__(self) -> None:
        self._frames: list[Frame] = []
        self._fields: Mapping[str, Any] = {}
        self._step = 0

    @classmethod
    async def start(cls, _scratch: Path, _environment: Mapping[str, str]) -> Self:
        """Takes the place of starting a process."""
        return cls()

    async def send(self, kind: str, fields: Mapping[str, Any], _payload: bytes = b"") -> None:
        """Takes the task."""
        self._fields = {**fields, "kind": kind}
        checkpoint = Path(fields["checkpoint"])
        if kind == "train" and checkpoint.exists():
            self._step = int(read_sealed(checkpoint))

    async def receive(self) -> Frame:
        """Works until there is something to tell."""
        if self._fields["kind"] == "convert":
            write_durably(Path(self._fields["artifact"]), ARTIFACT)
            sha256 = hashlib.sha256(ARTIFACT).hexdigest()
            return Frame("result", {"sha256": sha256, "report": REPORT})
        if self._step < STEPS:
            self._step += 1
            write_sealed(Path(self._fields["checkpoint"]), b"%d" % self._step)
            return _progress(self._step)
        write_durably(Path(self._fields["trained"]), TRAINED)
        return _trained()

    def signal(self, _number: signal.Signals) -> None:
        """There is no process to signal."""

    async def close(self) -> None:
        """There is no process to end."""


def _progress(step: int) -> Frame:
    none = ("learning_rate", "accuracy", "feature_loss", "agreement")
    fields = {
        "stage": Stage.QAT,
        "progress": step / STEPS,
        "epoch": 1,
        "step": step,
        "total_steps": STEPS,
        "task_loss": 0.5,
        "quantization_loss": 0.1,
    }
    return Frame("progress", {**fields, **dict.fromkeys(none)})


def _trained() -> Frame:
    summary = {
        "float_accuracy": None,
        "accuracy": None,
        "task_loss": 0.5,
        "quantization_loss": 0.1,
        "best_epoch": 1,
        "step_count": STEPS,
        "agreement": None,
        "best_stage": Stage.QAT,
    }
    return Frame("result", {"summary": summary, "curve": CURVE})
