"""The stages from a model file to an integer program: load, calibrate, train_qat, convert."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import fx

from smidgen.artifact import encode_artifact, program_specs
from smidgen.calibration import Calibrator, calibrate
from smidgen.classification import check_class_labels
from smidgen.config import Activations, Preprocessing, QATConfig
from smidgen.conversion import Conversion
from smidgen.convert import activation_qparams, convert_graph
from smidgen.convertible import check_convertible
from smidgen.data.images import ImageDataset
from smidgen.data.opening import AnyDataset, source_of
from smidgen.data.preprocess import check_takes_images
from smidgen.data.source import SampleSource, source_batches
from smidgen.engine import Engine
from smidgen.errors import TrainingError
from smidgen.evaluation import Arrays, accuracy, batches
from smidgen.float_execution import first_float_output, float_values
from smidgen.float_model import FloatModel, check_belongs, load_model
from smidgen.formats.dataset import Dataset
from smidgen.passes import fuse_for_inference, quantize_dynamically
from smidgen.profile import ActivationRange, CalibrationProfile
from smidgen.program import Program
from smidgen.progress import Stage
from smidgen.qat.prepare import finish_qat, prepare_qat
from smidgen.qat.trained import TrainedModel, load_trained, save_trained
from smidgen.qat.training import train_qat
from smidgen.quantization_report import report_nodes
from smidgen.quantized_import import import_quantized
from smidgen.report import QuantizationReport
from smidgen.tensor_spec import TensorSpec
from smidgen.verification import (
    check_parity,
    random_samples,
    real_values,
    sample_count,
    sqnr_db,
)

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
]

CALIBRATION_BATCH_SIZE = 64


def plan(model: FloatModel, profile: CalibrationProfile | None = None) -> QuantizationReport:
    """Says which nodes would be quantized, without converting.

    Args:
        model: The float model.
        profile: Ranges, for the scales in the report.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: the profile is another model's.
    """
    fused = fuse_for_inference(model.graph)
    check_convertible(fused)
    qparams = {}
    if profile is not None:
        check_belongs(model, profile)
        qparams = dict(activation_qparams(fused, profile.ranges))
    return QuantizationReport(
        nodes=report_nodes(model.graph, fused, qparams, {}),
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
    on_stage: Callable[[Stage], None] = lambda _: None,
    preprocessing: Preprocessing | None = None,
) -> Conversion:
    """Writes the integer program, compares engine and reference on it and reports.

    Args:
        model: The float model.
        profile: Ranges; those of `trained` count where it is given.
        trained: Weights and ranges from train_qat; None converts the float weights.
        evaluation: Samples to measure noise on, and accuracies if it has class labels.
        lineage: Further entries for the program's lineage.
        activations: How the inputs of linear layers get their scale.
        on_stage: Called with CONVERT and VERIFY when these begin.
        preprocessing: How images become the model's input, for the artifact to record. Default:
            that of the evaluation data.

    Raises:
        UnsupportedOperatorError: nodes cannot be converted; the message names all of them.
        CalibrationError: the profile is another model's.
        TrainingError: the trained model is another model's.
        InvalidDatasetError: the evaluation data does not fit the model.
        EngineError: engine and reference differ.
    """
    check_belongs(model, profile)
    on_stage(Stage.CONVERT)
    graph, ranges = _quantizable(model, profile, trained)
    if activations is Activations.DYNAMIC:
        graph = quantize_dynamically(graph)
    program = convert_graph(
        graph,
        ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
        lineage={**_lineage(model, profile, trained, activations), **(lineage or {})},
    )
    program = _with_preprocessing(program, preprocessing, evaluation)
    on_stage(Stage.VERIFY)
    source = None if evaluation is None else source_of(evaluation, model.exported.inputs)
    certificate = check_parity(program, _parity_samples(program, source, model))
    float_accuracy, quantized_accuracy = _accuracies(model, program, source)
    noise = {} if source is None else _noise(model, graph, program, source)
    report = QuantizationReport(
        nodes=report_nodes(model.graph, graph, activation_qparams(graph, ranges), noise),
        float_bytes=model.exported.parameter_bytes,
        artifact_bytes=len(encode_artifact(program)),
        parity=certificate,
        float_accuracy=float_accuracy,
        quantized_accuracy=quantized_accuracy,
    )
    return Conversion(program=program, report=report)


def quantize(
    model_path: str | Path,
    calibration: AnyDataset | NDArray[np.float32] | Mapping[str, NDArray[Any]],
    *,
    training: AnyDataset | None = None,
    config: QATConfig | None = None,
    evaluation: AnyDataset | None = None,
) -> Conversion:
    """Makes an integer program of a model file in one call.

    Args:
        model_path: A .pt2 file from torch.export.save, or ONNX.
        calibration: Representative samples: a dataset, arrays by input name, or one array for a
            model with one input.
        training: Labelled samples for quantization-aware training; None converts without it.
        config: How to train.
        evaluation: Samples to report accuracy and noise on, and to evaluate training on.

    Raises:
        SmidgenError: the stages' errors; see load_model, calibrate, train_qat and convert.
    """
    model = load_model(Path(model_path))
    profile = calibrate(model, _calibration_batches(model, calibration))
    trained = None
    if training is not None:
        trained = train_qat(model, profile, training, config, evaluation=evaluation)
    return convert(model, profile, trained, evaluation=evaluation)


def _quantizable(
    model: FloatModel, profile: CalibrationProfile, trained: TrainedModel | None
) -> tuple[fx.GraphModule, Mapping[str, ActivationRange]]:
    """Returns the fused graph with final weights, and the final ranges."""
    if trained is None:
        return fuse_for_inference(model.graph), profile.ranges
    if trained.model_sha256 != model.exported.sha256:
        raise TrainingError(
            f"the trained model comes from the model {trained.model_sha256}, expected "
            f"{model.exported.sha256}; train this model",
            reason="TRAINED_MODEL_MISMATCH",
        )
    prepared = prepare_qat(model.graph, trained.profile.ranges)
    try:
        prepared.load_state_dict(dict(trained.state))
    except RuntimeError as error:
        raise TrainingError(
            "the trained weights do not fit the model; train it again",
            reason="INVALID_TRAINED_MODEL",
        ) from error
    return finish_qat(prepared.eval())


def _lineage(
    model: FloatModel,
    profile: CalibrationProfile,
    trained: TrainedModel | None,
    activations: Activations,
) -> dict[str, str]:
    return {
        "model_sha256": model.exported.sha256,
        "profile_sha256": hashlib.sha256(profile.to_json()).hexdigest(),
        "method": "ptq" if trained is None else "qat",
        "calibration_method": profile.method.value,
        "activations": activations.value,
    }


def _with_preprocessing(
    program: Program, preprocessing: Preprocessing | None, evaluation: AnyDataset | None
) -> Program:
    if preprocessing is None and isinstance(evaluation, ImageDataset):
        preprocessing = evaluation.preprocessing
    if preprocessing is None:
        return program
    check_takes_images(program_specs(program)[0], preprocessing)
    return replace(program, preprocessing=preprocessing)


def _parity_samples(program: Program, source: SampleSource | None, model: FloatModel) -> Arrays:
    """Takes half of the samples from the evaluation data, if there is any, and invents the rest."""
    count = sample_count(program)
    samples = random_samples(program, count)
    if source is None:
        return samples
    _, stop, batch = next(iter(batches(source, model.exported.inputs, count)))
    taken = min(stop, max(1, count // 2))
    return {name: np.concatenate([batch[name][:taken], samples[name][taken:]]) for name in samples}


def _accuracies(
    model: FloatModel, program: Program, source: SampleSource | None
) -> tuple[float | None, float | None]:
    """Returns the accuracies of the float model and the program, where labels are classes."""
    if source is None or source.labels is None:
        return None, None
    labels = source.labels
    are_classes = np.issubdtype(labels.dtype, np.integer) and labels.ndim == 1
    if not are_classes or len(model.exported.outputs[0].shape) != 2:
        return None, None
    specs = model.exported.inputs
    check_class_labels(labels, model.exported.outputs[0])
    engine, first = Engine(program), program.outputs[0]

    def predict_float(batch: Arrays) -> NDArray[np.float32]:
        return first_float_output(model.graph, batch, specs)

    def predict_quantized(batch: Arrays) -> NDArray[np.float32]:
        return engine.run(batch)[first]

    return (
        accuracy(predict_float, source, specs),
        accuracy(predict_quantized, source, specs),
    )


def _noise(
    model: FloatModel, graph: fx.GraphModule, program: Program, source: SampleSource
) -> Mapping[str, float | None]:
    """Measures each node's ratio of signal to quantization noise on a few samples.

    The signal is what the graph computes in float with the weights that were quantized.
    """
    specs = model.exported.inputs
    _, _, batch = next(iter(batches(source, specs, sample_count(program))))
    quantized = real_values(program, batch)
    signals = float_values(graph, batch, specs)
    return {name: sqnr_db(signals[name], quantized[name]) for name in signals.keys() & quantized}


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
    calibration: AnyDataset | NDArray[np.float32] | Mapping[str, NDArray[Any]],
) -> Iterator[Mapping[str, NDArray[Any]]]:
    specs = model.exported.inputs
    if isinstance(calibration, AnyDataset):
        yield from calibration_batches(calibration, specs)
        return
    inputs = calibration if isinstance(calibration, Mapping) else {specs[0].name: calibration}
    count = min((len(array) for array in inputs.values()), default=0)
    size = specs[0].shape[0] or CALIBRATION_BATCH_SIZE
    for start in range(0, count, size):
        # The last batch of a model with a fixed batch size may be short, and calibrate refuses it.
        if specs[0].shape[0] is None or start + size <= count:
            yield {name: array[start : start + size] for name, array in inputs.items()}
