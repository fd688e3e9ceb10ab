"""`smidgen train-qat`."""

from __future__ import annotations

from typing import Annotated

import typer

from smidgen.cli import options, precision
from smidgen.cli import training_options as training
from smidgen.cli.connecting import connect
from smidgen.cli.documents import to_document
from smidgen.cli.following import follow
from smidgen.cli.output import emit
from smidgen.cli.preprocessing import augmentation_of, read_preprocessing
from smidgen.cli.usage import refuse_given
from smidgen.cli.views import job_view
from smidgen.config import (
    BudgetConfig,
    LossConfig,
    OptimizerConfig,
    QATConfig,
    RangeSource,
    StageConfig,
    TaskLoss,
    WeightBits,
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("train-qat")(train_qat)


def train_qat(
    context: typer.Context,
    model: options.Model,
    *,
    calibration: Annotated[str, typer.Option(help="Calibration to start from.")],
    dataset: Annotated[
        str, typer.Option(help="Stored training data, with labels unless the task is none.")
    ],
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
    weights: precision.Weights = WeightBits.INT8,
    group_size: precision.GroupSize = precision.DEFAULT_GROUP_SIZE,
    override: precision.Overrides = None,
    label_smoothing: training.LabelSmoothing = training.LOSS.label_smoothing,
    distance: training.Distance = None,
    temperature: training.Temperature = training.LOSS.temperature,
    weight_start: training.WeightStart = training.LOSS.weight_start,
    weight_warm_up_steps: training.WeightWarmUpSteps = training.LOSS.weight_warm_up_steps,
    features: training.Features = None,
    warm_up_steps: training.WarmUpSteps = training.STAGES.warm_up_steps,
    freeze_observers_at: training.FreezeObserversAt = training.STAGES.freeze_observers_at,
    freeze_batch_norm_at: training.FreezeBatchNormAt = training.STAGES.freeze_batch_norm_at,
    fine_tune: training.FineTuning = training.STAGES.fine_tune,
    activations: training.Activations = RangeSource.OBSERVED,
    optimizer: training.Optimizer = training.OPTIMIZER.kind,
    weight_decay: training.WeightDecay = training.OPTIMIZER.weight_decay,
    momentum: training.Momentum = training.OPTIMIZER.momentum,
    schedule: training.StepSizes = training.OPTIMIZER.schedule,
    decay_epochs: training.DecayEpochs = training.OPTIMIZER.decay_epochs,
    decay_factor: training.DecayFactor = training.OPTIMIZER.decay_factor,
    gradient_clip: training.GradientClip = None,
    ema_decay: training.EmaDecay = None,
    max_steps: training.MaxSteps = None,
    max_seconds: training.MaxSeconds = None,
    patience: training.Patience = None,
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

    Shows the losses, accuracy and agreement with the float model while it runs. Ctrl-C detaches:
    the job goes on.
    """
    if evaluation_dataset and evaluation_fraction != 0.0:
        why = "nothing is held out besides an --evaluation-dataset"
        refuse_given(context, ("evaluation_fraction",), why)
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
        loss=LossConfig(
            label_smoothing=label_smoothing,
            distance=distance,
            temperature=temperature,
            weight_start=weight_start,
            weight_warm_up_steps=weight_warm_up_steps,
            features=training.parse_features(features or ()),
        ),
        stages=StageConfig(
            warm_up_steps=warm_up_steps,
            freeze_observers_at=freeze_observers_at,
            freeze_batch_norm_at=freeze_batch_norm_at,
            fine_tune=fine_tune,
        ),
        optimizer=OptimizerConfig(
            kind=optimizer,
            weight_decay=weight_decay,
            momentum=momentum,
            schedule=schedule,
            decay_epochs=decay_epochs,
            decay_factor=decay_factor,
            gradient_clip=gradient_clip,
            ema_decay=ema_decay,
        ),
        budget=BudgetConfig(steps=max_steps, seconds=max_seconds, patience=patience),
        activations=activations,
    )
    images = read_preprocessing(preprocessing)
    with connect(server) as client:
        job = client.train_qat(
            model,
            calibration=calibration,
            dataset=dataset,
            evaluation_dataset=evaluation_dataset,
            config=config,
            precision=precision.precision_config(weights, group_size, override),
            preprocessing=images,
            augmentation=augmentation_of(images, flip=flip, least_area=least_area),
            validate_only=validate_only,
        )
        if not (detach or validate_only):
            job = follow(client, job, quiet=as_json, cancel_on_interrupt=cancel_on_interrupt)
    emit(to_document(job), job_view(job), as_json=as_json)
