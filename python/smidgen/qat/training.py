"""Trains a model with quantization simulated, from its calibration to a TrainedModel."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from smidgen.config import PrecisionConfig, QATConfig
from smidgen.config.precision import ALL_INT8
from smidgen.data.opening import AnyDataset, source_of
from smidgen.float_model import FloatModel, check_belongs
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stopped, TrainingProgress
from smidgen.qat.checkpoint import invalid_checkpoint, load_checkpoint, save_checkpoint
from smidgen.qat.distributions import trained_statistics
from smidgen.qat.fingerprint import Fingerprint, take_fingerprint
from smidgen.qat.keeper import Keeper
from smidgen.qat.task import make_task
from smidgen.qat.torch_state import training_state
from smidgen.qat.trained import TrainedModel
from smidgen.qat.trainer import Hooks, Trainer
from smidgen.training_data import check_held_out

CHECKPOINT_INTERVAL_S = 60.0
"""Seconds between two checkpoints, unless said otherwise."""


def train_qat(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: AnyDataset,
    config: QATConfig | None = None,
    *,
    precision: PrecisionConfig | None = None,
    evaluation: AnyDataset | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: str | Path | None = None,
    checkpoint_interval_s: float = CHECKPOINT_INTERVAL_S,
    resume: str | Path | None = None,
    clock: Callable[[], float] = time.monotonic,
) -> TrainedModel:
    """Trains a copy of the model with fake quantization and keeps the best epoch.

    The calibrated model itself takes part in the comparison, so that the result is never worse on
    the evaluation split. Equal arguments give equal bytes on one machine, also where a training
    was stopped or killed and goes on from its checkpoint. docs/training.md tells of losses and
    stages.

    Args:
        model: The float model; it is not changed, and is the teacher.
        profile: Ranges to start from.
        dataset: Samples, with labels unless there is no task.
        config: How to train; the defaults if None.
        precision: Bits of each layer's weights; int8 throughout if None.
        evaluation: Samples to evaluate each epoch on; a held-out share of `dataset` if None.
        on_progress: Called about every 10 steps and at the end of each epoch.
        should_stop: Asked before every step.
        checkpoint: Where to keep all that is needed to go on; written now and then, when training
            is stopped, and at its end.
        checkpoint_interval_s: Least seconds between two checkpoints; 0 writes one at every step.
        resume: A checkpoint to go on from, often `checkpoint` itself.
        clock: Seconds from any start, for the time budget and the interval.

    Raises:
        InvalidDatasetError: a dataset does not fit the model or the loss.
        InvalidConfigError: a pattern of features matches nothing, or the precision does not fit the
            model; a share is to be held out besides `evaluation`.
        CalibrationError: the profile is another model's.
        TrainingError: a loss or a gradient is not finite; `resume` is no checkpoint.
        ResumeError: `resume` is the checkpoint of another training.
        Stopped: should_stop said so; the checkpoint is written.
    """
    config = config or QATConfig()
    precision = precision or ALL_INT8
    check_belongs(model, profile)
    check_held_out(config, has_evaluation=evaluation is not None)
    batch_size = model.exported.inputs[0].shape[0] or config.batch_size
    with training_state(model.graph, batch_size):
        fingerprint = None
        if checkpoint is not None or resume is not None:
            inputs = model.exported.inputs
            fingerprint = take_fingerprint(
                model.exported.sha256,
                profile,
                source_of(dataset, inputs),
                None if evaluation is None else source_of(evaluation, inputs),
                config,
                precision=precision,
            )
        task = make_task(
            model, profile, dataset, config, evaluation=evaluation, precision=precision
        )
        keeper = Keeper(task)
        writer = _CheckpointWriter(
            None if checkpoint is None else Path(checkpoint),
            fingerprint,
            checkpoint_interval_s,
            clock,
        )
        trainer = Trainer(task, keeper, Hooks(on_progress, should_stop, writer, clock))
        writer.trainer = trainer
        if resume is not None and fingerprint is not None:
            _restore(trainer, Path(resume), fingerprint)
        else:
            trainer.start()
        try:
            trainer.run()
        except Stopped:
            writer.write()
            raise
        writer.write()
        statistics = trained_statistics(
            model,
            profile,
            state=keeper.state,
            precision=precision,
            source=source_of(dataset, model.exported.inputs),
            batch_size=batch_size,
        )
        return TrainedModel(
            model_sha256=model.exported.sha256,
            profile=profile,
            statistics=statistics,
            summary=keeper.summary(trainer.position.step),
            state=keeper.state,
            config=config,
            precision=precision,
            curve=trainer.curve.curve(),
        )


class _CheckpointWriter:
    """Writes a trainer's checkpoint when the last one is old enough."""

    trainer: Trainer

    def __init__(
        self,
        path: Path | None,
        fingerprint: Fingerprint | None,
        interval_s: float,
        clock: Callable[[], float],
    ) -> None:
        self._path = path
        self._fingerprint = fingerprint
        self._interval_s = interval_s
        self._clock = clock
        self._written_s = clock()

    def __call__(self) -> None:
        """Writes one if it is time to."""
        if self._path is not None and self._clock() - self._written_s >= self._interval_s:
            self.write()

    def write(self) -> None:
        """Writes one now, if there is to be any."""
        if self._path is not None and self._fingerprint is not None:
            save_checkpoint(self.trainer.snapshot(), self._fingerprint, self._path)
            self._written_s = self._clock()


def _restore(trainer: Trainer, path: Path, fingerprint: Fingerprint) -> None:
    snapshot = load_checkpoint(path, fingerprint)
    try:
        trainer.restore(snapshot)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise invalid_checkpoint(path) from error
