"""The weights and ranges that a conversion starts from: calibrated, made ready or trained."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from torch import fx

from smidgen.calibration_batches import Samples, sample_batches
from smidgen.config import Activations, PostTrainingConfig
from smidgen.errors import InvalidConfigError, TrainingError
from smidgen.extreme_ranges import keep_extremes_in_float
from smidgen.float_model import FloatModel
from smidgen.origin import calibration_origin, training_origin
from smidgen.passes import fuse_for_inference
from smidgen.post_training import apply_post_training
from smidgen.profile import ActivationRange, CalibrationProfile
from smidgen.qat.prepare import finish_qat, prepare_qat
from smidgen.qat.trained import TrainedModel
from smidgen.statistics import ActivationStatistics


@dataclass(frozen=True, slots=True)
class Quantizable:
    """What is quantized.

    Attributes:
        graph: The fused graph with final weights.
        ranges: The final ranges.
        prepared: The graph that trained; None without training.
        statistics: How its activations were distributed; empty where nobody kept it.
    """

    graph: fx.GraphModule
    ranges: Mapping[str, ActivationRange]
    prepared: fx.GraphModule | None = None
    statistics: Mapping[str, ActivationStatistics] = field(default_factory=dict)


def make_quantizable(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None,
    post_training: PostTrainingConfig,
    samples: Samples | None,
) -> Quantizable:
    """Returns the weights and ranges to quantize.

    Args:
        model: The float model.
        profile: Ranges; those of `trained` count where it is given.
        trained: Weights and ranges of a training, if there was one.
        post_training: What to do to the weights first.
        samples: What post_training needs.

    Raises:
        TrainingError: the trained model is another model's.
        InvalidConfigError: post_training without samples, or with trained weights.
        InvalidDatasetError: the samples do not fit the model.
        CalibrationError: RANGE_NOT_REPRESENTABLE; see keep_extremes_in_float.
    """
    if post_training.is_any:
        return _post_trained(model, profile, trained, post_training, samples)
    if trained is not None:
        return _finished(model, trained)
    graph = keep_extremes_in_float(fuse_for_inference(model.graph), profile.ranges)
    return Quantizable(graph, profile.ranges, statistics=profile.statistics)


def conversion_lineage(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None,
    activations: Activations,
    post_training: PostTrainingConfig,
) -> dict[str, str]:
    """Returns what a program says about where it comes from."""
    return {
        "model_sha256": model.exported.sha256,
        "method": "ptq" if trained is None else "qat",
        "activations": activations.value,
        **calibration_origin(profile if trained is None else trained.profile),
        **training_origin(None if trained is None else trained.config),
        **_post_training_lineage(post_training),
    }


def _finished(model: FloatModel, trained: TrainedModel) -> Quantizable:
    if trained.model_sha256 != model.exported.sha256:
        raise TrainingError(
            f"the trained model comes from the model {trained.model_sha256}, expected "
            f"{model.exported.sha256}; train this model",
            reason="TRAINED_MODEL_MISMATCH",
        )
    prepared = prepare_qat(model.graph, trained.profile.ranges, trained.precision)
    try:
        prepared.load_state_dict(dict(trained.state))
    except RuntimeError as error:
        raise TrainingError(
            "the trained weights do not fit the model; train it again",
            reason="INVALID_TRAINED_MODEL",
        ) from error
    graph, ranges = finish_qat(prepared.eval())
    return Quantizable(graph, ranges, prepared, trained.statistics)


def _post_trained(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None,
    config: PostTrainingConfig,
    samples: Samples | None,
) -> Quantizable:
    if trained is not None or samples is None:
        why = "need samples" if trained is None else "do not apply to trained weights"
        raise InvalidConfigError(
            f"the post-training options {why}; "
            + ("name the calibration's data" if trained is None else "leave them out"),
            reason="POST_TRAINING_NEEDS_SAMPLES" if trained is None else "POST_TRAINING_AND_QAT",
            field="post_training",
        )
    found = apply_post_training(
        model, profile, lambda: sample_batches(samples, model.exported.inputs), config
    )
    return Quantizable(found.graph, found.ranges, statistics=found.statistics)


def _post_training_lineage(config: PostTrainingConfig) -> dict[str, str]:
    names = [name for name, is_on in asdict(config).items() if is_on]
    return {"post_training": ",".join(names)} if names else {}
