"""The tasks of a worker process. The only module of the service that imports torch."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from numpy.typing import NDArray

from smidgen import pipeline
from smidgen.artifact import save_artifact
from smidgen.config import CalibrationConfig, ObserverMethod, QATConfig, TaskLoss
from smidgen.errors import CalibrationError
from smidgen.formats.dataset import Dataset, DatasetFormat, read_dataset
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stage, TrainingProgress
from smidgen.tensor_spec import TensorSpec
from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import Frame
from smidgen_service.jobs.throttle import ProgressThrottle


class Channel:
    """The two pipes to the server."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers

    def send(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> None:
        """Sends a frame."""
        frames.write_blocking(self._answers, kind, fields, payload)

    def receive(self) -> Frame:
        """Returns the next frame.

        Raises:
            EOFError: the server is gone.
        """
        frame = frames.read_blocking(self._commands)
        if frame is None:
            raise EOFError("the server closed the pipe")
        return frame


def run(task: Frame, channel: Channel) -> None:
    """Runs a task to its `result` frame, or raises."""
    torch.set_num_threads(int(task.fields["threads"]))
    _TASKS[task.kind](task.fields, channel)


def _plan(fields: Mapping[str, Any], channel: Channel) -> None:
    model = pipeline.load_model(Path(fields["model"]))
    report = pipeline.plan(model, _profile(fields))
    channel.send("result", {"report": report.to_dict()})


def _calibrate(fields: Mapping[str, Any], channel: Channel) -> None:
    model = pipeline.load_model(Path(fields["model"]))
    config = CalibrationConfig(
        method=ObserverMethod(fields["method"]),
        averaging_constant=float(fields["averaging_constant"]),
    )
    calibrator = pipeline.Calibrator(model, config)
    if fields["dataset"] is not None:
        for batch in _dataset_batches(_dataset(fields["dataset"]), model.exported.inputs):
            calibrator.observe(batch)
    else:
        for batch in _received_batches(channel):
            calibrator.observe(batch)
            channel.send("observed", {})
    channel.send("result", {}, calibrator.finish().to_json())


def _train(fields: Mapping[str, Any], channel: Channel) -> None:
    should_stop = _stop_on_sigterm()
    model = pipeline.load_model(Path(fields["model"]))
    profile = _profile(fields)
    assert profile is not None
    throttle = ProgressThrottle(lambda progress: _send_progress(channel, progress))
    evaluation = _dataset(fields["evaluation"]) if fields["evaluation"] is not None else None
    trained = pipeline.train_qat(
        model,
        profile,
        _dataset(fields["dataset"]),
        qat_config(fields["config"]),
        evaluation=evaluation,
        on_progress=throttle,
        should_stop=should_stop,
        checkpoint=Path("checkpoint.safetensors"),
    )
    throttle.flush()
    trained_path = Path(fields["trained"])
    pipeline.save_trained(trained, trained_path)
    channel.send(
        "result",
        {
            "float_accuracy": trained.float_accuracy,
            "accuracy": trained.accuracy,
            "task_loss": trained.task_loss,
            "quantization_loss": trained.quantization_loss,
            "best_epoch": trained.best_epoch,
            "step_count": trained.step_count,
        },
    )


def _convert(fields: Mapping[str, Any], channel: Channel) -> None:
    model = pipeline.load_model(Path(fields["model"]))
    profile = _profile(fields)
    assert profile is not None
    trained_path = fields["trained"]
    trained = pipeline.load_trained(Path(trained_path)) if trained_path is not None else None
    evaluation = _dataset(fields["evaluation"]) if fields["evaluation"] is not None else None
    channel.send("stage", {"stage": Stage.CONVERT, "progress": 0.2})
    conversion = pipeline.convert(
        model, profile, trained, evaluation=evaluation, lineage=fields["lineage"]
    )
    channel.send("stage", {"stage": Stage.VERIFY, "progress": 0.9})
    sha256 = save_artifact(conversion.program, Path(fields["artifact"]))
    channel.send("result", {"sha256": sha256, "report": conversion.report.to_dict()})


_TASKS: dict[str, Callable[[Mapping[str, Any], Channel], None]] = {
    "plan": _plan,
    "calibrate": _calibrate,
    "train": _train,
    "convert": _convert,
}


def qat_config(fields: Mapping[str, Any]) -> QATConfig:
    """Rebuilds a configuration from its plain values."""
    return QATConfig(**{**fields, "task_loss": TaskLoss(fields["task_loss"])})


def _profile(fields: Mapping[str, Any]) -> CalibrationProfile | None:
    path = fields["profile"]
    return CalibrationProfile.from_json(Path(path).read_bytes()) if path is not None else None


def _dataset(fields: Mapping[str, Any]) -> Dataset:
    return read_dataset(Path(fields["path"]), DatasetFormat(fields["format"]))


def _dataset_batches(
    dataset: Dataset, inputs: Sequence[TensorSpec]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yields the samples; a short last batch is left out where the model fixes the batch size."""
    fixed = inputs[0].shape[0]
    for batch in dataset.batches(inputs, fixed or pipeline.CALIBRATION_BATCH_SIZE):
        if fixed is None or len(batch[inputs[0].name]) == fixed:
            yield batch


def _received_batches(channel: Channel) -> Iterator[Mapping[str, NDArray[Any]]]:
    while (frame := channel.receive()).kind == "batch":
        batch, offset = {}, 0
        for tensor in frame.fields["tensors"]:
            shape = tuple(tensor["shape"])
            count = int(np.prod(shape))
            values = np.frombuffer(frame.payload, np.dtype(tensor["dtype"]), count, offset)
            batch[str(tensor["name"])] = values.reshape(shape)
            offset += values.nbytes
        yield batch
    if frame.kind != "end":
        raise CalibrationError(f"unexpected {frame.kind} frame among the batches")


def _send_progress(channel: Channel, progress: TrainingProgress) -> None:
    fields = {
        "stage": progress.stage,
        "progress": progress.progress,
        "epoch": progress.epoch,
        "step": progress.step,
        "total_steps": progress.total_steps,
        "task_loss": progress.task_loss,
        "quantization_loss": progress.quantization_loss,
        "learning_rate": progress.learning_rate,
        "accuracy": progress.accuracy,
    }
    channel.send("progress", fields)


def _stop_on_sigterm() -> Callable[[], bool]:
    received: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: received.append(number))
    return lambda: bool(received)
