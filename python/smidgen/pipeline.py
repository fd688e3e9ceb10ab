"""The stages from a model file to an integer program: load, calibrate, train_qat, convert."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from smidgen.artifact import encode_artifact, program_specs
from smidgen.calibration import Calibrator, calibrate
from smidgen.certificate import prove
from smidgen.config import (
    Activations,
    GateConfig,
    MeasurementConfig,
    PostTrainingConfig,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
    SearchConfig,
)
from smidgen.config.post_training import check_together
from smidgen.config.precision import ALL_INT8
from smidgen.conversion import Conversion
from smidgen.convert import activation_qparams, convert_graph
from smidgen.convertible import check_convertible
from smidgen.data.images import ImageDataset
from smidgen.data.opening import AnyDataset, source_of
from smidgen.data.preprocess import check_takes_images
from smidgen.data.source import SampleSource, source_batches
from smidgen.errors import InvalidConfigError, TrainingError
from smidgen.evaluation import Arrays, batches
from smidgen.fidelity import Fidelity
from smidgen.float_execution import float_values
from smidgen.float_model import FloatModel, check_belongs, load_model
from smidgen.formats.dataset import Dataset
from smidgen.gate import check_gate, check_measurable, check_search
from smidgen.latency import measure_latency
from smidgen.measured import LatencyReport
from smidgen.origin import calibration_origin, training_origin
from smidgen.passes import fuse_for_inference, keep_in_float, quantize_dynamically
from smidgen.post_training import apply_post_training
from smidgen.precision import float_layers, resolve_precision
from smidgen.precision_choice import choose_precision, report_search
from smidgen.precision_search import Precisions, SearchResult
from smidgen.profile import ActivationRange, CalibrationProfile
from smidgen.program import Program
from smidgen.progress import Stage
from smidgen.qat.prepare import finish_qat, prepare_fused, prepare_qat
from smidgen.qat.trained import TrainedModel, load_trained, save_trained
from smidgen.qat.training import train_qat
from smidgen.quantization_report import report_nodes
from smidgen.quantized_import import import_quantized
from smidgen.report import GateReport, QuantizationReport
from smidgen.sensitivity_ranking import rank_sensitivity
from smidgen.tensor_spec import TensorSpec
from smidgen.verification import random_samples, real_values, sample_count, sqnr_db

__all__ = [
    "Calibrator",
    "Conversion",
    "FloatModel",
    "TrainedModel",
    "calibrate",
    "calibration_batches",
    "convert",
    "import_quantized",
    "load_model",
    "load_trained",
    "plan",
    "quantize",
    "save_trained",
    "train_qat",
    "with_preprocessing",
]

CALIBRATION_BATCH_SIZE = 64

Samples = AnyDataset | NDArray[np.float32] | Mapping[str, NDArray[Any]]
"""A data set, one array for a model with one input, or arrays by input name."""


def plan(
    model: FloatModel,
    profile: CalibrationProfile | None = None,
    precision: PrecisionConfig | None = None,
) -> QuantizationReport:
    """Says which nodes would be quantized, without converting.

    Args:
        model: The float model.
        profile: Ranges, for the scales in the report.
        precision: Bits of each layer's weights; int8 throughout if None.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: the profile is another model's.
        InvalidConfigError: the precision does not fit the model.
    """
    fused = fuse_for_inference(model.graph)
    precisions = resolve_precision(fused, precision or ALL_INT8)
    fused = keep_in_float(fused, float_layers(precisions))
    check_convertible(fused)
    qparams = {}
    if profile is not None:
        check_belongs(model, profile)
        qparams = dict(activation_qparams(fused, profile.ranges))
    return QuantizationReport(
        nodes=report_nodes(model.graph, fused, qparams, {}, precisions),
        float_bytes=model.exported.parameter_bytes,
    )


def convert(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None = None,
    *,
    evaluation: AnyDataset | None = None,
    lineage: Mapping[str, str] | None = None,
    activations: Activations = Activations.STATIC,
    precision: PrecisionConfig | None = None,
    post_training: PostTrainingConfig | None = None,
    samples: Samples | None = None,
    on_stage: Callable[[Stage], None] = lambda _: None,
    preprocessing: Preprocessing | None = None,
    gate: GateConfig | None = None,
    measurements: MeasurementConfig | None = None,
    search: SearchConfig | None = None,
) -> Conversion:
    """Writes the integer program, compares engine and reference on it and reports.

    Args:
        model: The float model.
        profile: Ranges; those of `trained` count where it is given.
        trained: Weights and ranges from train_qat; None converts the float weights.
        evaluation: Samples to measure noise on, and accuracies if it has class labels.
        lineage: Further entries for the program's lineage.
        activations: How the inputs of linear layers get their scale.
        precision: Bits of each layer's weights; int8 throughout if None. A trained model has its
            own.
        post_training: What to do to the weights first; only without `trained`.
        samples: Representative samples, which post_training needs: the calibration's are best.
        on_stage: Called with CONVERT and VERIFY when these begin.
        preprocessing: How images become the model's input, for the artifact to record. Default:
            that of the evaluation data or of the samples.
        gate: What the program must keep of the float model on the evaluation data.
        measurements: What to measure for the report that takes time; nothing if None.
        search: How long to look for layers that need more bits than `precision` gives them, int8 in
            place of int4 or float in place of int8, for the gate to hold; None does not look.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: the profile is another model's.
        TrainingError: the trained model is another model's.
        InvalidConfigError: the precision does not fit the model, or is given for a trained one;
            post_training without samples, with trained weights, or with another precision; a gate
            that cannot be measured; sensitivity without evaluation data; a search without a gate.
        InvalidDatasetError: the evaluation data or the samples do not fit the model.
        EngineError: engine and reference differ.
        GateError: the program loses more than the gate allows.
    """
    check_belongs(model, profile)
    limits = gate or GateConfig()
    check_measurable(limits, model.exported.outputs, has_evaluation=evaluation is not None)
    check_search(search, limits)
    precision = _precision(trained, precision)
    on_stage(Stage.CONVERT)
    options = post_training or PostTrainingConfig()
    wanted = measurements or MeasurementConfig()
    _check_measurable(wanted, evaluation)
    check_together(options, precision)
    prepared: fx.GraphModule | None = None
    if options.is_any:
        graph, ranges = _post_trained(model, profile, trained, options, samples)
    else:
        graph, ranges, prepared = _quantizable(model, profile, trained)
    source = None if evaluation is None else source_of(evaluation, model.exported.inputs)
    origins = {
        **_lineage(model, profile, trained, activations),
        **_post_training_lineage(options),
        **(lineage or {}),
    }

    def write(precisions: Precisions) -> Program:
        return convert_graph(
            _for_steps(graph, precisions, activations),
            ranges,
            inputs=model.exported.inputs,
            outputs=model.exported.outputs,
            lineage=origins,
            precision=precisions,
        )

    found: SearchResult | None = None
    precisions = resolve_precision(graph, precision)
    if search is not None:
        assert source is not None  # check_measurable
        found = choose_precision(
            model,
            graph,
            ranges,
            evaluation=source,
            precision=precision,
            gate=limits,
            config=search,
            write=write,
        )
        if found.best.lifts:
            precisions, prepared = found.precisions, None
    program = write(precisions)
    program = with_preprocessing(program, preprocessing or _preprocessing_of(evaluation, samples))
    on_stage(Stage.VERIFY)
    if activations is Activations.DYNAMIC:
        prepared = None  # fake quantization simulates static activations alone
    elif prepared is None:
        prepared = prepare_fused(graph, ranges, precisions).eval()
    graph = _for_steps(graph, precisions, activations)
    proof = prove(model, program, prepared, source, compares_all=limits.is_any)
    passed = _pass_gate(limits, proof.fidelity, None if found is None else len(found.trials))
    noise = {} if source is None else _noise(model, graph, program, source)
    sensitivity = None
    if source is not None and wanted.sensitivity_seconds > 0.0:
        sensitivity = rank_sensitivity(
            graph,
            ranges,
            _some_samples(model, program, source),
            model.exported.inputs,
            noise=noise,
            precisions=precisions,
            budget_s=wanted.sensitivity_seconds,
        )
    report = QuantizationReport(
        nodes=report_nodes(
            model.graph, graph, activation_qparams(graph, ranges), noise, precisions
        ),
        float_bytes=model.exported.parameter_bytes,
        artifact_bytes=len(encode_artifact(program)),
        parity=proof.certificate,
        float_accuracy=None if proof.fidelity is None else proof.fidelity.float_accuracy,
        quantized_accuracy=None if proof.fidelity is None else proof.fidelity.quantized_accuracy,
        gate=passed,
        sensitivity=sensitivity,
        latency=_latency(model, graph, program) if wanted.latency else None,
        search=None if found is None else report_search(found, graph),
    )
    return Conversion(program=program, report=report)


def quantize(
    model_path: str | Path,
    calibration: Samples,
    *,
    training: AnyDataset | None = None,
    config: QATConfig | None = None,
    precision: PrecisionConfig | None = None,
    evaluation: AnyDataset | None = None,
    gate: GateConfig | None = None,
    search: SearchConfig | None = None,
) -> Conversion:
    """Makes an integer program of a model file in one call.

    Args:
        model_path: A .pt2 file from torch.export.save, or ONNX.
        calibration: Representative samples: a dataset, arrays by input name, or one array for a
            model with one input.
        training: Labelled samples for quantization-aware training; None converts without it.
        config: How to train.
        precision: Bits of each layer's weights; int8 throughout if None.
        evaluation: Samples to report accuracy and noise on, and to evaluate training on.
        gate: What the program must keep of the float model on the evaluation data.
        search: How long to look for layers that need more bits for the gate to hold.

    Raises:
        SmidgenError: the stages' errors; see load_model, calibrate, train_qat and convert.
    """
    model = load_model(Path(model_path))
    profile = calibrate(model, _calibration_batches(model, calibration))
    trained = None
    if training is not None:
        trained = train_qat(
            model, profile, training, config, precision=precision, evaluation=evaluation
        )
        precision = None
    return convert(
        model,
        profile,
        trained,
        precision=precision,
        evaluation=evaluation,
        preprocessing=_preprocessing_of(evaluation, training, calibration),
        gate=gate,
        search=search,
    )


def _precision(trained: TrainedModel | None, precision: PrecisionConfig | None) -> PrecisionConfig:
    if trained is None:
        return precision or ALL_INT8
    if precision is not None:
        raise InvalidConfigError(
            "a precision is given and the trained model has one of its own; train for this "
            "precision, or leave it out",
            reason="PRECISION_GIVEN_TWICE",
            field="precision",
        )
    return trained.precision


def _quantizable(
    model: FloatModel, profile: CalibrationProfile, trained: TrainedModel | None
) -> tuple[fx.GraphModule, Mapping[str, ActivationRange], fx.GraphModule | None]:
    """Returns the fused graph with final weights, the final ranges, and the graph that trained."""
    if trained is None:
        return fuse_for_inference(model.graph), profile.ranges, None
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
    return *finish_qat(prepared.eval()), prepared


def _for_steps(
    graph: fx.GraphModule, precisions: Precisions, activations: Activations
) -> fx.GraphModule:
    """Returns the graph with each layer in the form in which it runs."""
    graph = keep_in_float(graph, float_layers(precisions))
    return quantize_dynamically(graph) if activations is Activations.DYNAMIC else graph


def _pass_gate(gate: GateConfig, fidelity: Fidelity | None, tried: int | None) -> GateReport | None:
    if not gate.is_any:
        return None
    assert fidelity is not None  # check_measurable
    return check_gate(gate, fidelity.measured, tried=tried)


def _post_trained(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None,
    config: PostTrainingConfig,
    samples: Samples | None,
) -> tuple[fx.GraphModule, Mapping[str, ActivationRange]]:
    """Returns the fused graph with weights made ready, and its ranges."""
    if trained is not None or samples is None:
        why = "need samples" if trained is None else "do not apply to trained weights"
        raise InvalidConfigError(
            f"the post-training options {why}; "
            + ("name the calibration's data" if trained is None else "leave them out"),
            reason="POST_TRAINING_NEEDS_SAMPLES" if trained is None else "POST_TRAINING_AND_QAT",
            field="post_training",
        )
    found = apply_post_training(
        model, profile, lambda: _calibration_batches(model, samples), config
    )
    return found.graph, found.ranges


def _post_training_lineage(config: PostTrainingConfig) -> dict[str, str]:
    names = [name for name, is_on in asdict(config).items() if is_on]
    return {"post_training": ",".join(names)} if names else {}


def _lineage(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None,
    activations: Activations,
) -> dict[str, str]:
    return {
        "model_sha256": model.exported.sha256,
        "method": "ptq" if trained is None else "qat",
        "activations": activations.value,
        **calibration_origin(profile if trained is None else trained.profile),
        **training_origin(None if trained is None else trained.config),
    }


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


def _noise(
    model: FloatModel, graph: fx.GraphModule, program: Program, source: SampleSource
) -> Mapping[str, float | None]:
    """Measures each node's ratio of signal to quantization noise on a few samples.

    The signal is what the graph computes in float with the weights that were quantized.
    """
    specs, batch = model.exported.inputs, _some_samples(model, program, source)
    quantized = real_values(program, batch)
    signals = float_values(graph, batch, specs)
    return {name: sqnr_db(signals[name], quantized[name]) for name in signals.keys() & quantized}


def _some_samples(model: FloatModel, program: Program, source: SampleSource) -> Arrays:
    """Returns the few samples that layers are compared on."""
    _, _, batch = next(iter(batches(source, model.exported.inputs, sample_count(program))))
    return batch


def _latency(model: FloatModel, graph: fx.GraphModule, program: Program) -> LatencyReport:
    """Times one sample, or as many as the model takes, of invented values."""
    return measure_latency(graph, program, random_samples(program, 1), model.exported.inputs)


def _check_measurable(measurements: MeasurementConfig, evaluation: AnyDataset | None) -> None:
    if measurements.sensitivity_seconds > 0.0 and evaluation is None:
        raise InvalidConfigError(
            "what layers cost the output is measured on evaluation data, and there is none; give "
            "some, or leave sensitivity_seconds at 0",
            reason="SENSITIVITY_NEEDS_SAMPLES",
            field="measurements.sensitivity_seconds",
        )


def calibration_batches(
    dataset: AnyDataset, inputs: Sequence[TensorSpec]
) -> Iterator[Mapping[str, NDArray[Any]]]:
    """Yields all samples in order; a model with a fixed batch size gets whole batches only.

    Raises:
        InvalidDatasetError: the dataset does not fit the model, or a sample cannot be read.
    """
    fixed = inputs[0].shape[0]
    size = fixed or CALIBRATION_BATCH_SIZE
    if isinstance(dataset, Dataset):  # views of the mapped file, where rows would be copies
        for batch in dataset.batches(inputs, size):
            if fixed is None or len(batch[inputs[0].name]) == fixed:
                yield batch
        return
    for rows in source_batches(source_of(dataset, inputs), size, only_whole=fixed is not None):
        yield rows.inputs


def _calibration_batches(
    model: FloatModel,
    calibration: Samples,
) -> Iterator[Mapping[str, NDArray[Any]]]:
    specs = model.exported.inputs
    if isinstance(calibration, AnyDataset):
        yield from calibration_batches(calibration, specs)
        return
    fixed = specs[0].shape[0]
    size = fixed or CALIBRATION_BATCH_SIZE
    inputs = calibration if isinstance(calibration, Mapping) else {specs[0].name: calibration}
    count = min((len(array) for array in inputs.values()), default=0)
    for start in range(0, count, size):
        # The last batch of a model with a fixed batch size may be short, and calibrate refuses it.
        if fixed is None or start + size <= count:
            yield {name: array[start : start + size] for name, array in inputs.items()}
