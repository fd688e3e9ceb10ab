"""What a training run trains, on what."""

from __future__ import annotations

from dataclasses import dataclass

from torch import fx

from smidgen.config import DistanceKind, PrecisionConfig, QATConfig, TaskLoss
from smidgen.config.precision import ALL_INT8
from smidgen.data.opening import AnyDataset, source_of
from smidgen.data.split import step_count
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.profile import CalibrationProfile
from smidgen.qat.data import Samples, make_samples, split_samples
from smidgen.qat.features import Feature, select_features
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.teacher import Teacher
from smidgen.training_data import check_steps, check_training_data, distance_for

_KEEP_FROM_EPOCHS = 2
"""In fewer passes no output of the float model is needed twice."""


@dataclass(frozen=True, slots=True)
class Task:
    """What a run trains, on what; nothing here changes but the prepared graph.

    Attributes:
        prepared: The graph with fake quantization; its parameters and ranges are trained.
        training: The training split.
        evaluation: The evaluation split, or the training split where nothing is held out.
        is_held_out: Whether the evaluation split is apart from the training split.
        training_teacher: Gives the float model's values for batches of the training split.
        evaluation_teacher: The same for the evaluation split, without features.
        features: Layers that are held near the float model's.
        distance: Between outputs.
        batch_size: Samples a step.
        class_count: Extent of axis 1 where the output is [N, classes]; None for other outputs.
        config: How to train.
    """

    prepared: fx.GraphModule
    training: Samples
    evaluation: Samples
    is_held_out: bool
    training_teacher: Teacher
    evaluation_teacher: Teacher
    features: tuple[Feature, ...]
    distance: DistanceKind
    batch_size: int
    class_count: int | None
    config: QATConfig

    @property
    def has_accuracy(self) -> bool:
        """Whether accuracy means something here."""
        return self.is_held_out and self.config.task_loss is TaskLoss.CROSS_ENTROPY

    @property
    def has_agreement(self) -> bool:
        """Whether the largest output means something here."""
        is_classifier = self.config.task_loss in (TaskLoss.CROSS_ENTROPY, TaskLoss.NONE)
        return self.is_held_out and is_classifier and (self.class_count or 0) > 1

    @property
    def steps_per_epoch(self) -> int:
        """Optimizer steps of one epoch."""
        return step_count(len(self.training), self.batch_size)


def make_task(
    model: FloatModel,
    profile: CalibrationProfile,
    dataset: AnyDataset,
    config: QATConfig,
    *,
    evaluation: AnyDataset | None,
    precision: PrecisionConfig = ALL_INT8,
) -> Task:
    """Prepares the graph, splits the data and lets the float model compute what can be kept.

    Raises:
        InvalidDatasetError: a dataset does not fit the model or the loss.
        InvalidConfigError: a pattern of features matches nothing, the precision does not fit the
            model, or a warm-up takes all steps.
    """
    batch_size = model.exported.inputs[0].shape[0] or config.batch_size
    training, held_out = _splits(model, dataset, config, evaluation)
    check_steps(config, step_count(len(training), batch_size))
    prepared = prepare_qat(model.graph, profile.ranges, precision, config.activations)
    fused = fuse_for_inference(model.graph)
    features = select_features(prepared, fused, config.loss.features)
    training_teacher, evaluation_teacher = Teacher(fused, features), Teacher(fused)
    evaluated = training if held_out is None else held_out
    evaluation_teacher.keep(evaluated, batch_size)
    planned = _planned_epochs(config, len(training) // batch_size)
    # Augmented samples differ from epoch to epoch, and so do the float model's outputs.
    if planned >= _KEEP_FROM_EPOCHS and not training.source.is_augmented:
        training_teacher.keep(training, batch_size)
    output = model.exported.outputs[0].shape
    return Task(
        prepared=prepared,
        training=training,
        evaluation=evaluated,
        is_held_out=held_out is not None,
        training_teacher=training_teacher,
        evaluation_teacher=evaluation_teacher,
        features=features,
        distance=distance_for(config, len(output)),
        batch_size=batch_size,
        class_count=output[1] if len(output) == 2 else None,  # [N, classes]
        config=config,
    )


def _planned_epochs(config: QATConfig, steps_per_epoch: int) -> float:
    epochs = config.epochs + config.fine_tune_epochs
    most_steps = config.budget.steps
    return epochs if most_steps is None else min(epochs, most_steps / max(steps_per_epoch, 1))


def _splits(
    model: FloatModel, dataset: AnyDataset, config: QATConfig, evaluation: AnyDataset | None
) -> tuple[Samples, Samples | None]:
    training = _samples(model, dataset, config)
    held_out: Samples | None
    if evaluation is None:
        training, held_out = split_samples(training, config)
    else:
        held_out = _samples(model, evaluation, config)
    fixed = model.exported.inputs[0].shape[0]
    if fixed is not None:
        training = training.truncated(fixed)
        held_out = None if held_out is None or len(held_out) < fixed else held_out.truncated(fixed)
    return training, held_out


def _samples(model: FloatModel, dataset: AnyDataset, config: QATConfig) -> Samples:
    exported = model.exported
    check_training_data(exported.inputs, exported.outputs, dataset, config)
    return make_samples(source_of(dataset, exported.inputs), exported.inputs, config)
