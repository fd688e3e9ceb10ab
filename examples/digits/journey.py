"""The client's side of the journey: upload, calibrate, train, convert, infer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from examples.digits.data import Digits
from smidgen.client import Client
from smidgen.config import QATConfig
from smidgen.v1 import job_service_pb2 as jobs_pb

MODEL, TRAINING, TEST = "digits", "digits-training", "digits-test"
CALIBRATION_BATCHES, CALIBRATION_BATCH = 8, 64
INFER_BATCH = 50
CONVERT_WAIT_S = 120.0
TRAINING_CONFIG = QATConfig(epochs=5, fine_tune_epochs=1, batch_size=64, learning_rate=5e-4)


@dataclass(frozen=True, slots=True)
class ConvertedModel:
    """One converted version as its client sees it.

    Attributes:
        name: Resource name of the version.
        accuracy: Share of the test set that it answers rightly.
        artifact_bytes: Size of its file.
        isa: Instruction set that answered.
    """

    name: str
    accuracy: float
    artifact_bytes: int
    isa: str


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the journey brought: quantized after training, and quantized by training."""

    post_training: ConvertedModel
    qat: ConvertedModel
    float_bytes: int


def run(client: Client, console: Console, digits: Digits, folder: Path) -> Outcome:
    """Takes the model in `folder` through all four verbs."""
    model = client.upload_model(folder / "digits.pt2", MODEL)
    client.upload_dataset(folder / "training.npz", TRAINING)
    client.upload_dataset(folder / "test.npz", TEST)
    console.print(f"uploaded {model.size_bytes:,} bytes of model and two datasets")

    calibration = client.calibrate(MODEL, calibration_batches(digits))
    console.print(
        f"calibrated {len(calibration.ranges)} activations on {calibration.sample_count} samples"
    )
    converted = client.convert(MODEL, calibration=calibration.name, wait_s=CONVERT_WAIT_S)
    post_training = measure(client, client.wait_job(converted.name), digits)

    job = client.train_qat(
        MODEL, calibration=calibration.name, dataset=TRAINING, config=TRAINING_CONFIG
    )
    follow(client, console, job)
    trained = client.wait_job(job.name)
    converted = client.convert(MODEL, train_job=trained.name, wait_s=CONVERT_WAIT_S)
    qat = measure(client, client.wait_job(converted.name), digits)
    client.download_artifact(MODEL, folder / "digits.smidgen")
    return Outcome(post_training=post_training, qat=qat, float_bytes=model.parameter_bytes)


def calibration_batches(digits: Digits) -> Iterator[NDArray[np.float32]]:
    """Yields a few batches of training images."""
    for start in range(0, CALIBRATION_BATCHES * CALIBRATION_BATCH, CALIBRATION_BATCH):
        yield digits.training_images[start : start + CALIBRATION_BATCH]


def follow(client: Client, console: Console, job: jobs_pb.Job) -> None:
    """Shows a training job's events as a bar until it ends."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[losses]}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=console) as progress:
        bar = progress.add_task("training", total=1.0, losses="")
        accuracy = ""
        for event in client.watch_job(job.name):
            if event.HasField("accuracy"):
                accuracy = f"  accuracy {event.accuracy:.1%}"
            stage = jobs_pb.JobStage.Name(event.stage).removeprefix("JOB_STAGE_").lower()
            losses = f"task {event.task_loss:.4f}  quantization {event.quantization_loss:.5f}"
            if event.HasField("task_loss"):
                progress.update(bar, description=stage, losses=losses + accuracy)
            progress.update(bar, completed=event.progress)


def measure(client: Client, converted: jobs_pb.Job, digits: Digits) -> ConvertedModel:
    """Sends the whole test set to a converted version, in batches."""
    version = converted.convert.model_version
    right, isa = 0, ""
    for start in range(0, len(digits.test_images), INFER_BATCH):
        batch = slice(start, start + INFER_BATCH)
        answer = client.infer(version, digits.test_images[batch])
        (logits,) = answer.outputs.values()
        right += int((logits.argmax(axis=1) == digits.test_labels[batch]).sum())
        isa = answer.isa
    return ConvertedModel(
        name=version,
        accuracy=right / len(digits.test_images),
        artifact_bytes=converted.convert.size_bytes,
        isa=isa,
    )
