"""The stages from a model file to an integer program: load, calibrate, train_qat, convert."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from smidgen.artifact import program_specs
from smidgen.calibration import Calibrator, calibrate
from smidgen.calibration_batches import Samples, calibration_batches, sample_batches
from smidgen.certificate import prove
from smidgen.config import (
    Activations,
    ConversionConfig,
    GateConfig,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
)
from smidgen.config.post_training import check_together
from smidgen.config.precision import ALL_INT8, check_as_trained
from smidgen.conversion import Conversion
from smidgen.conversion_report import report_conversion
from smidgen.convert import activation_qparams
from smidgen.convertible import check_convertible
from smidgen.data.images import ImageDataset
from smidgen.data.opening import AnyDataset
from smidgen.data.preprocess import check_takes_images
from smidgen.data.source import SampleSource
from smidgen.data.split import HeldOut, evaluation_source, held_out_of
from smidgen.extreme_ranges import keep_extremes_in_float
from smidgen.fidelity import Fidelity
from smidgen.float_model import FloatModel, check_belongs, load_model
from smidgen.gate import check_gate
from smidgen.measurable import check_measurable
from smidgen.passes import fuse_for_inference, keep_in_float
from smidgen.precision import float_layers, resolve_precision
from smidgen.precision_choice import choose_precision, report_search
from smidgen.precision_search import Precisions, SearchResult
from smidgen.profile import CalibrationProfile
from smidgen.program import Program
from smidgen.progress import ConversionProgress, Stage
from smidgen.qat.features import select_features
from smidgen.qat.prepare import prepare_qat
from smidgen.qat.trained import TrainedModel, load_trained, save_trained
from smidgen.qat.training import train_qat
from smidgen.quantizable import conversion_lineage, make_quantizable
from smidgen.quantization_report import report_nodes
from smidgen.quantized_import import import_quantized
from smidgen.recipe import Recipe, Written
from smidgen.report import EvaluationData, GateReport, QuantizationReport
from smidgen.watching import health_reference

__all__ = [
    "Calibrator",
    "Conversion",
    "FloatModel",
    "TrainedModel",
    "calibrate",
    "calibration_batches",
    "convert",
    "held_out_of",
    "import_quantized",
    "load_model",
    "load_trained",
    "plan",
    "quantize",
    "save_trained",
    "train_qat",
    "with_preprocessing",
]


def plan(
    model: FloatModel,
    profile: CalibrationProfile | None = None,
    precision: PrecisionConfig | None = None,
    training: QATConfig | None = None,
) -> QuantizationReport:
    """Says which nodes would be quantized, without converting.

    Args:
        model: The float model.
        profile: Ranges, for the scales in the report.
        precision: Bits of each layer's weights; int8 throughout if None.
        training: How the model would be trained first, whose features are looked up; needs a
            profile.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: the profile is another model's.
        InvalidConfigError: the precision does not fit the model, or a pattern of features matches
            no quantized layer.
    """
    fused = fuse_for_inference(model.graph)
    if profile is not None:
        check_belongs(model, profile)
        fused = keep_extremes_in_float(fused, profile.ranges)
    precisions = resolve_precision(fused, precision or ALL_INT8)
    fused = keep_in_float(fused, float_layers(precisions))
    check_convertible(fused)
    qparams = {}
    if profile is not None:
        qparams = dict(activation_qparams(fused, profile.ranges))
        if training is not None and training.loss.features:
            prepared = prepare_qat(model.graph, profile.ranges, precision or ALL_INT8)
            select_features(prepared, fuse_for_inference(model.graph), training.loss.features)
    return QuantizationReport(
        nodes=report_nodes(model.graph, fused, qparams, {}, precisions),
        float_bytes=model.exported.parameter_bytes,
    )


def convert(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None = None,
    *,
    evaluation: AnyDataset | HeldOut | None = None,
    lineage: Mapping[str, str] | None = None,
    activations: Activations = Activations.STATIC,
    precision: PrecisionConfig | None = None,
    config: ConversionConfig | None = None,
    samples: Samples | None = None,
    on_progress: Callable[[ConversionProgress], None] = lambda _: None,
    preprocessing: Preprocessing | None = None,
) -> Conversion:
    """Writes the integer program, compares engine and reference on it and reports.

    Args:
        model: The float model.
        profile: Ranges; those of `trained` count where it is given.
        trained: Weights and ranges from train_qat; None converts the float weights.
        evaluation: Samples to measure noise on, and accuracies if it has class labels. held_out_of
            gives those that the training held out.
        lineage: Further entries for the program's lineage.
        activations: How the inputs of linear layers get their scale.
        precision: Bits of each layer's weights; int8 throughout if None. A trained model has its
            own, and takes no other.
        config: What is done to the weights first, which is for the float ones alone, what the
            program is held to, and what is measured; nothing of it if None.
        samples: Representative samples, which post-training needs: the calibration's are best.
        on_progress: Called when CONVERT, SEARCH and VERIFY begin, and after each program that is
            measured in a search.
        preprocessing: How images become the model's input, for the artifact to record. Default:
            that of the evaluation data or of the samples.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: the profile is another model's.
        TrainingError: the trained model is another model's.
        InvalidConfigError: the precision does not fit the model, or is not that of the trained one;
            post-training without samples, with trained weights, or with another precision; a gate
            that cannot be measured; sensitivity without evaluation data.
        InvalidDatasetError: the evaluation data or the samples do not fit the model.
        EngineError: engine and reference differ.
        GateError: the program loses more than the gate allows.
    """
    check_belongs(model, profile)
    config = config or ConversionConfig()
    check_measurable(config, model.exported.outputs, has_evaluation=evaluation is not None)
    precision = _precision(trained, precision)
    check_together(config.post_training, precision)
    on_progress(ConversionProgress(Stage.CONVERT))
    recipe = Recipe(
        start=make_quantizable(model, profile, trained, config.post_training, samples),
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
        activations=activations,
        lineage={
            **conversion_lineage(model, profile, trained, activations, config.post_training),
            **(lineage or {}),
        },
    )
    source = None if evaluation is None else evaluation_source(evaluation, model.exported.inputs)
    precisions, found = _choose(
        model, recipe, source, precision=precision, config=config, on_progress=on_progress
    )
    written = recipe.write(precisions)
    whole = evaluation.dataset if isinstance(evaluation, HeldOut) else evaluation
    images = preprocessing or _preprocessing_of(whole, samples)
    health = health_reference(written.program, written.graph, profile, recipe.start.statistics)
    program = replace(with_preprocessing(written.program, images), health=health)
    written = replace(written, program=program)
    on_progress(ConversionProgress(Stage.VERIFY))
    return _verify(
        model, recipe, written, source, config=config, found=found, data=_kind_of(evaluation)
    )


def _choose(
    model: FloatModel,
    recipe: Recipe,
    source: SampleSource | None,
    *,
    precision: PrecisionConfig,
    config: ConversionConfig,
    on_progress: Callable[[ConversionProgress], None],
) -> tuple[Precisions, SearchResult | None]:
    """Returns the precision of each layer, and how it was found where it was searched for."""
    if config.search is None:
        return resolve_precision(recipe.start.graph, precision), None
    assert source is not None  # a search has a gate, and check_measurable saw what that needs
    found = choose_precision(
        model,
        recipe,
        evaluation=source,
        precision=precision,
        gate=config.gate,
        config=config.search,
        on_progress=on_progress,
    )
    return found.precisions, found


def _verify(
    model: FloatModel,
    recipe: Recipe,
    written: Written,
    source: SampleSource | None,
    *,
    config: ConversionConfig,
    found: SearchResult | None,
    data: EvaluationData | None,
) -> Conversion:
    """Compares a program with the models that it stands for, holds it to the gate and reports."""
    as_trained = found is None or not found.best.lifts
    proof = prove(
        model,
        written.program,
        recipe.simulate(written.precisions, as_trained=as_trained),
        source,
        compares_all=config.gate.is_any,
    )
    tried = None if found is None else len(found.trials)
    report = report_conversion(
        model,
        written,
        source,
        proof=proof,
        gate=_pass_gate(config.gate, proof.fidelity, tried),
        search=None if found is None else report_search(found, recipe.start.graph),
        measurements=config.measurements,
        evaluation=data,
    )
    return Conversion(program=written.program, report=report)


def quantize(
    model_path: str | Path,
    calibration: Samples,
    *,
    training: AnyDataset | None = None,
    config: QATConfig | None = None,
    precision: PrecisionConfig | None = None,
    evaluation: AnyDataset | None = None,
    conversion: ConversionConfig | None = None,
) -> Conversion:
    """Makes an integer program of a model file in one call.

    Args:
        model_path: A .pt2 file from torch.export.save, or ONNX.
        calibration: Representative samples: a dataset, arrays by input name, or one array for a
            model with one input.
        training: Labelled samples for quantization-aware training; None converts without it.
        config: How to train.
        precision: Bits of each layer's weights; int8 throughout if None.
        evaluation: Samples to report accuracy and noise on, and to evaluate training on. Without
            them a gate, or sensitivity, is measured on what training holds out.
        conversion: How to convert: what is done to the weights first, what the program is held to,
            and what is measured.

    Raises:
        SmidgenError: the stages' errors; see load_model, calibrate, train_qat and convert.
    """
    model = load_model(model_path)
    profile = calibrate(model, sample_batches(calibration, model.exported.inputs))
    trained = None
    measured_on: AnyDataset | HeldOut | None = evaluation
    if training is not None:
        trained = train_qat(
            model, profile, training, config, precision=precision, evaluation=evaluation
        )
        precision = None
        if evaluation is None and conversion is not None and conversion.needs_evaluation:
            measured_on = held_out_of(training, config or QATConfig())
    return convert(
        model,
        profile,
        trained,
        precision=precision,
        evaluation=measured_on,
        samples=calibration,
        preprocessing=_preprocessing_of(evaluation, training, calibration),
        config=conversion,
    )


def _kind_of(evaluation: AnyDataset | HeldOut | None) -> EvaluationData | None:
    if evaluation is None:
        return None
    return EvaluationData.HELD_OUT if isinstance(evaluation, HeldOut) else EvaluationData.DATASET


def _precision(trained: TrainedModel | None, precision: PrecisionConfig | None) -> PrecisionConfig:
    if trained is None:
        return precision or ALL_INT8
    check_as_trained(precision, trained.precision)
    return trained.precision


def _pass_gate(gate: GateConfig, fidelity: Fidelity | None, tried: int | None) -> GateReport | None:
    if not gate.is_any:
        return None
    assert fidelity is not None  # check_measurable
    return check_gate(gate, fidelity.measured, tried=tried)


def with_preprocessing(program: Program, preprocessing: Preprocessing | None) -> Program:
    """Returns the program with how images become its input, for the artifact to record.

    Raises:
        InvalidConfigError: the input is no such image.
    """
    if preprocessing is None:
        return program
    check_takes_images(program_specs(program)[0], preprocessing)
    return replace(program, preprocessing=preprocessing)


def _preprocessing_of(*data: Samples | None) -> Preprocessing | None:
    """Returns what is done to the first data of images."""
    return next((given.preprocessing for given in data if isinstance(given, ImageDataset)), None)
