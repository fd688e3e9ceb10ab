"""All options in their order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from torch import fx

from smidgen.activation_range import ActivationRange
from smidgen.calibration import Batch, Calibrator
from smidgen.config import CalibrationConfig, PostTrainingConfig
from smidgen.extreme_ranges import keep_extremes_in_float
from smidgen.float_model import FloatModel
from smidgen.passes import fuse_for_inference
from smidgen.post_training.correct_bias import correct_bias
from smidgen.post_training.equalize import equalize
from smidgen.post_training.round_weights import round_weights
from smidgen.profile import CalibrationProfile
from smidgen.statistics import ActivationStatistics


@dataclass(frozen=True, slots=True)
class PostTrained:
    """A fused graph that is ready to be converted.

    Attributes:
        graph: The graph.
        ranges: The ranges of its activations.
        statistics: How its activations were distributed; empty where nobody kept it.
        equalized_pairs: Pairs of layers that were equalized.
        rounded_layers: Layers whose weights were rounded by what their inputs are like.
        corrected_layers: Layers with a corrected bias.
    """

    graph: fx.GraphModule
    ranges: Mapping[str, ActivationRange]
    statistics: Mapping[str, ActivationStatistics]
    equalized_pairs: int = 0
    rounded_layers: int = 0
    corrected_layers: int = 0


def apply_post_training(
    model: FloatModel,
    profile: CalibrationProfile,
    batches: Callable[[], Iterable[Batch]],
    config: PostTrainingConfig,
) -> PostTrained:
    """Equalizes and calibrates what came out, rounds, and corrects biases: what the options say.

    Args:
        model: The float model, which is not changed.
        profile: Its calibration; equalized graphs get ranges by the same method.
        batches: Starts over with the samples; called for each pass.
        config: The options.

    Raises:
        InvalidTensorError: a batch does not fit the model.
        CalibrationError: there is no sample; RANGE_NOT_REPRESENTABLE.
        UnsupportedOperatorError: a layer's accumulators could overflow.
    """
    graph, kept = fuse_for_inference(model.graph), profile
    pairs = rounded = corrected = 0
    if config.equalize:
        chosen = profile.config
        statistics = profile.statistics or _calibrate(model, graph, batches(), chosen).statistics
        graph, pairs = equalize(graph, statistics)
        kept = _calibrate(model, graph, batches(), chosen)
    ranges = kept.ranges
    graph = keep_extremes_in_float(graph, ranges)
    if config.round_weights:
        graph, rounded = round_weights(graph, ranges, batches(), model.exported.inputs)
    if config.correct_bias:
        graph, corrected = correct_bias(graph, ranges, batches(), model.exported.inputs)
    return PostTrained(graph, ranges, kept.statistics, pairs, rounded, corrected)


def _calibrate(
    model: FloatModel, graph: fx.GraphModule, batches: Iterable[Batch], config: CalibrationConfig
) -> CalibrationProfile:
    calibrator = Calibrator(model, config, graph=graph)
    for batch in batches:
        calibrator.observe(batch)
    return calibrator.finish()
