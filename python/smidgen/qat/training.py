"""Trains a model with quantization simulated, from its calibration to a TrainedModel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from smidgen.config import QATConfig
from smidgen.float_model import FloatModel, check_belongs
from smidgen.formats.dataset import Dataset
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stopped, TrainingProgress
from smidgen.qat.keeper import Keeper
from smidgen.qat.task import make_task
from smidgen.qat.torch_state import training_state
from smidgen.qat.trained import TrainedModel, save_trained
from smidgen.qat.trainer import Hooks, Trainer


def train_qat(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: Dataset,
    config: QATConfig | None = None,
    *,
    evaluation: Dataset | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainedModel:
    """Trains a copy of the model with fake quantization and keeps the best epoch.

    The calibrated model itself takes part in the comparison, so that the result is never worse on
    the evaluation split. Equal arguments give equal bytes on one machine. Two stages, optimizer
    and schedule are those of smidgen.qat.trainer.

    Args:
        model: The float model; it is not changed, and is the teacher.
        profile: Ranges to start from.
        dataset: Samples with labels.
        config: How to train; the defaults if None.
        evaluation: Samples to evaluate each epoch on; a held-out share of `dataset` if None.
        on_progress: Called about every 10 steps and at the end of each epoch.
        should_stop: Asked before every step.
        checkpoint: Where to keep the best model so far, as save_trained writes it, after each
            epoch and when training is stopped.
        clock: Seconds from any start, for the time budget.

    Raises:
        InvalidDatasetError: a dataset does not fit the model or the loss.
        CalibrationError: the profile is another model's.
        TrainingError: a loss or a gradient is not finite.
        Stopped: should_stop said so; the checkpoint is written.
    """
    config = config or QATConfig()
    check_belongs(model, profile)
    batch_size = model.exported.inputs[0].shape[0] or config.batch_size
    with training_state(model.graph, batch_size):
        task = make_task(model, profile, dataset, config, evaluation)
        keeper = Keeper(task)
        trainer = Trainer(task, keeper, Hooks(on_progress, should_stop, clock=clock))

        def result() -> TrainedModel:
            return TrainedModel(
                model_sha256=model.exported.sha256,
                profile=profile,
                summary=keeper.summary(trainer.position.step),
                state=keeper.state,
                curve=trainer.curve.curve(),
            )

        trainer.start()
        try:
            trainer.run()
        except Stopped:
            if checkpoint is not None:
                save_trained(result(), checkpoint)
            raise
        if checkpoint is not None:
            save_trained(result(), checkpoint)
        return result()
