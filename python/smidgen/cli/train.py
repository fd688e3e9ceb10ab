"""`smidgen train-qat`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli import options
from smidgen.cli.documents import to_document
from smidgen.cli.following import follow
from smidgen.cli.output import emit
from smidgen.cli.preprocessing import augmentation_of, read_preprocessing
from smidgen.cli.views import job_view
from smidgen.client import Client
from smidgen.config import QATConfig, TaskLoss


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("train-qat")(train_qat)


def train_qat(
    model: options.Model,
    *,
    calibration: Annotated[str, typer.Option(help="Calibration to start from.")],
    dataset: Annotated[str, typer.Option(help="Stored training data with labels.")],
    evaluation_dataset: Annotated[
        str, typer.Option(help="Stored data to evaluate on; a held-out share by default.")
    ] = "",
    epochs: options.Epochs = options.DEFAULT_EPOCHS,
    fine_tune_epochs: options.FineTuneEpochs = options.DEFAULT_FINE_TUNE_EPOCHS,
    batch_size: options.BatchSize = options.DEFAULT_BATCH_SIZE,
    learning_rate: options.LearningRate = options.DEFAULT_LEARNING_RATE,
    fine_tune_learning_rate: options.FineTuneLearningRate = None,
    task_loss: options.Loss = TaskLoss.CROSS_ENTROPY,
    quantization_loss_weight: options.LossWeight = options.DEFAULT_LAMBDA,
    evaluation_fraction: options.EvaluationFraction = options.DEFAULT_EVALUATION_FRACTION,
    seed: options.Seed = 0,
    preprocessing: options.PreprocessingFile = None,
    flip: options.Flip = False,
    least_area: options.LeastArea = 1.0,
    detach: options.Detach = False,
    cancel_on_interrupt: options.CancelOnInterrupt = False,
    validate_only: options.ValidateOnly = False,
    server: options.Server = options.DEFAULT_TARGET,
    as_json: options.AsJson = False,
) -> None:
    """Train a model with quantization simulated, as a job on the server.

    Shows task loss, quantization loss and accuracy while it runs. Ctrl-C detaches: the job goes on.
    """
    config = QATConfig(
        epochs=epochs,
        fine_tune_epochs=fine_tune_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        fine_tune_learning_rate=fine_tune_learning_rate,
        task_loss=task_loss,
        quantization_loss_weight=quantization_loss_weight,
        evaluation_fraction=evaluation_fraction,
        seed=seed,
    )
    images = read_preprocessing(preprocessing)
    with Client(server) as client:
        job = client.train_qat(
            model,
            calibration=calibration,
            dataset=dataset,
            evaluation_dataset=evaluation_dataset,
            config=config,
            preprocessing=images,
            augmentation=augmentation_of(images, flip=flip, least_area=least_area),
            validate_only=validate_only,
        )
        if not (detach or validate_only):
            job = follow(client, job, quiet=as_json, cancel_on_interrupt=cancel_on_interrupt)
    emit(to_document(job), job_view(job), as_json=as_json)
