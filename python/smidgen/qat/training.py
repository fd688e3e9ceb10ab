"""Trains a model with quantization simulated, from its calibration to a TrainedModel."""

from __future__ import annotations

import copy
from collections.abc import Callable
from pathlib import Path

import torch

from smidgen.classification import correct_count
from smidgen.config import QATConfig
from smidgen.data.opening import AnyDataset, source_of
from smidgen.float_model import FloatModel, check_belongs
from smidgen.profile import CalibrationProfile
from smidgen.progress import Stopped, TrainingProgress
from smidgen.qat.data import Samples, make_samples, split_samples
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.torch_state import training_state
from smidgen.qat.trained import TrainedModel, TrainingSummary, save_trained
from smidgen.qat.trainer import (
    Evaluation,
    Task,
    Trainer,
    evaluate,
    teacher_outputs,
)
from smidgen.training_data import check_training_data


def train_qat(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: AnyDataset,
    config: QATConfig | None = None,
    *,
    evaluation: AnyDataset | None = None,
    on_progress: Callable[[TrainingProgress], None] = lambda _: None,
    should_stop: Callable[[], bool] = lambda: False,
    checkpoint: Path | None = None,
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

    Raises:
        InvalidDatasetError: a dataset does not fit the model or the loss.
        CalibrationError: the profile is another model's.
        TrainingError: a loss or a gradient is not finite.
        Stopped: should_stop said so; the checkpoint is written.
    """
    config = config or QATConfig()
    check_belongs(model, profile)
    generator = torch.Generator().manual_seed(config.seed)
    batch_size = model.exported.inputs[0].shape[0] or config.batch_size
    with training_state(model.graph, batch_size):
        task = _make_task(
            model, profile, dataset, config, evaluation=evaluation, generator=generator
        )
        keeper = _Keeper(model, profile, task, checkpoint)
        trainer = Trainer(task, generator, on_progress, should_stop)
        try:
            for epoch, result in trainer.epochs():
                keeper.offer(epoch, result, trainer.step)
        except Stopped:
            keeper.save(trainer.step)
            raise
        return keeper.best(trainer.step)


class _Keeper:
    """Holds the state of the best epoch so far, and its checkpoint."""

    def __init__(
        self,
        model: FloatModel,
        profile: CalibrationProfile,
        task: Task,
        checkpoint: Path | None,
    ) -> None:
        self._model = model
        self._profile = profile
        self._task = task
        self._checkpoint = checkpoint
        self._float_accuracy = _teacher_accuracy(task)
        self._keep(0, evaluate(task))

    def offer(self, epoch: int, evaluation: Evaluation, step: int) -> None:
        """Keeps the prepared graph as it is now if it is better, and writes the checkpoint."""
        if evaluation.is_better_than(self._best, self._task.config.quantization_loss_weight):
            self._keep(epoch, evaluation)
        self.save(step)

    def best(self, step: int) -> TrainedModel:
        """Returns the best model after so many steps."""
        return TrainedModel(
            model_sha256=self._model.exported.sha256,
            profile=self._profile,
            state=self._state,
            summary=TrainingSummary(
                float_accuracy=self._float_accuracy,
                accuracy=self._best.accuracy,
                task_loss=self._best.task_loss,
                quantization_loss=self._best.quantization_loss,
                best_epoch=self._epoch,
                step_count=step,
            ),
        )

    def save(self, step: int) -> None:
        """Writes the checkpoint, if there is to be one."""
        if self._checkpoint is not None:
            save_trained(self.best(step), self._checkpoint)

    def _keep(self, epoch: int, evaluation: Evaluation) -> None:
        self._epoch = epoch
        self._best = evaluation
        state = self._task.prepared.state_dict()
        self._state = {name: tensor.detach().clone() for name, tensor in state.items()}


def _make_task(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: AnyDataset,
    config: QATConfig,
    *,
    evaluation: AnyDataset | None,
    generator: torch.Generator,
) -> Task:
    fixed = model.exported.inputs[0].shape[0]
    batch_size = fixed or config.batch_size
    training: Samples = _samples(model, dataset, config)
    held_out: Samples | None
    if evaluation is None:
        training, held_out = split_samples(training, config, generator)
    else:
        held_out = _samples(model, evaluation, config)
    if fixed is not None:
        training = training.truncated(fixed)
        held_out = None if held_out is None or len(held_out) < fixed else held_out.truncated(fixed)
    teacher = copy.deepcopy(model.graph).eval()
    is_fixed = not training.source.is_augmented
    training_teacher = teacher_outputs(teacher, training, batch_size) if is_fixed else None
    evaluated = training if held_out is None else held_out
    return Task(
        prepared=prepare_qat(model.graph, profile.ranges),
        training=training,
        evaluation=evaluated,
        is_held_out=held_out is not None,
        teacher=teacher,
        training_teacher=training_teacher,
        evaluation_teacher=teacher_outputs(teacher, evaluated, batch_size)
        if held_out is not None or training_teacher is None
        else training_teacher,
        batch_size=batch_size,
        config=config,
    )


def _samples(model: FloatModel, dataset: AnyDataset, config: QATConfig) -> Samples:
    exported = model.exported
    check_training_data(exported.inputs, exported.outputs, dataset, config)
    return make_samples(source_of(dataset, exported.inputs), exported.inputs, config)


def _teacher_accuracy(task: Task) -> float | None:
    if not task.has_accuracy:
        return None
    logits = task.evaluation_teacher.numpy()
    return correct_count(logits, task.evaluation.labels) / len(task.evaluation)
