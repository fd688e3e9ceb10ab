"""Gathers what is known of a conversion into its report."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from smidgen.artifact import encode_artifact
from smidgen.certificate import Proof
from smidgen.config import MeasurementConfig
from smidgen.convert import activation_qparams
from smidgen.data.source import SampleSource
from smidgen.evaluation import Arrays, batches
from smidgen.float_execution import float_values
from smidgen.float_model import FloatModel
from smidgen.latency import measure_latency
from smidgen.measured import LatencyReport, SensitivityReport
from smidgen.program import Program
from smidgen.quantization_report import report_nodes
from smidgen.recipe import Written
from smidgen.report import EvaluationData, GateReport, PrecisionSearch, QuantizationReport
from smidgen.sensitivity_ranking import rank_sensitivity
from smidgen.verification import random_samples, real_values, sample_count, sqnr_db


def report_conversion(
    model: FloatModel,
    written: Written,
    source: SampleSource | None,
    *,
    proof: Proof,
    gate: GateReport | None,
    search: PrecisionSearch | None,
    measurements: MeasurementConfig,
    evaluation: EvaluationData | None,
) -> QuantizationReport:
    """Measures what is asked for and returns the report.

    Args:
        model: The float model.
        written: The program.
        source: The evaluation samples; None without.
        proof: How close the program is to the models that it stands for.
        gate: The limits that it passed; None without limits.
        search: How its precision was found; None where it was given.
        measurements: What to measure that takes time.
        evaluation: What the evaluation samples are; None without.

    Raises:
        InvalidDatasetError: a sample cannot be read.
    """
    graph, program, fidelity = written.graph, written.program, proof.fidelity
    noise = {} if source is None else _noise(model, graph, program, source)
    nodes = report_nodes(
        model.graph, graph, activation_qparams(graph, written.ranges), noise, written.precisions
    )
    return QuantizationReport(
        nodes=nodes,
        float_bytes=model.exported.parameter_bytes,
        artifact_bytes=len(encode_artifact(program)),
        parity=proof.certificate,
        float_accuracy=None if fidelity is None else fidelity.float_accuracy,
        quantized_accuracy=None if fidelity is None else fidelity.quantized_accuracy,
        gate=gate,
        sensitivity=_sensitivity(model, written, source, noise, measurements),
        latency=_latency(model, graph, program) if measurements.latency else None,
        search=search,
        evaluation=evaluation,
    )


def _sensitivity(
    model: FloatModel,
    written: Written,
    source: SampleSource | None,
    noise: Mapping[str, float | None],
    measurements: MeasurementConfig,
) -> SensitivityReport | None:
    if source is None or measurements.sensitivity_seconds == 0.0:
        return None
    return rank_sensitivity(
        written.graph,
        written.ranges,
        _some_samples(model, written.program, source),
        model.exported.inputs,
        noise=noise,
        precisions=written.precisions,
        budget_s=measurements.sensitivity_seconds,
    )


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
