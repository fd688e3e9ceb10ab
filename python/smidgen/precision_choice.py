"""Searches for the precision of a model's layers, with its programs and its evaluation data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import fx

from smidgen.config import GateConfig, PrecisionConfig, SearchConfig
from smidgen.data.source import SampleSource
from smidgen.engine import Engine
from smidgen.evaluation import batches
from smidgen.fidelity import FloatReference
from smidgen.float_model import FloatModel
from smidgen.gate import Measured
from smidgen.measured import Sensitivity
from smidgen.passes import keep_in_float
from smidgen.precision import float_layers, overridden_layers, resolve_precision
from smidgen.precision_search import Precisions, SearchResult, Trial, search_precision
from smidgen.progress import ConversionProgress, Stage
from smidgen.recipe import Recipe
from smidgen.report import PrecisionChange, PrecisionSearch, PrecisionTrial
from smidgen.sensitivity import measure_sensitivity

RANKED_SAMPLES = 32


def choose_precision(
    model: FloatModel,
    recipe: Recipe,
    *,
    evaluation: SampleSource,
    precision: PrecisionConfig,
    gate: GateConfig,
    config: SearchConfig,
    on_progress: Callable[[ConversionProgress], None],
) -> SearchResult:
    """Gives layers more bits until a gate holds on evaluation data; see search_precision.

    Layers that an override names keep what it says.

    Args:
        model: The float model.
        recipe: What programs are written from.
        evaluation: What the gate is measured on. The first 32 samples tell what layers cost alone.
        precision: Where to start.
        gate: What must hold.
        config: The budget.
        on_progress: Called when the search begins and after each program.

    Raises:
        InvalidDatasetError: the evaluation data does not fit the model.
        UnsupportedOperatorError, CalibrationError: a program cannot be written.
    """
    graph, ranges = recipe.start.graph, recipe.start.ranges
    start = resolve_precision(graph, precision)
    reference = FloatReference(model, evaluation)
    specs = model.exported.inputs
    _, _, samples = next(batches(evaluation, specs, RANKED_SAMPLES))

    def rank(precisions: Precisions) -> dict[str, Sensitivity]:
        kept = keep_in_float(graph, float_layers(precisions))
        found = measure_sensitivity(kept, ranges, samples, specs, precisions)
        return {name: found.get(name, Sensitivity(None, None)) for name in precisions}

    def measure(precisions: Precisions) -> Measured:
        program = recipe.write(precisions).program
        engine = Engine(program, tune=False)
        return reference.compare(lambda batch: engine.run(batch)[program.outputs[0]]).measured

    def tell(trials: Sequence[Trial]) -> None:
        message = _describe(trials[-1]) if trials else ""
        on_progress(
            ConversionProgress(Stage.SEARCH, len(trials), config.evaluations, message=message)
        )

    tell(())
    movable = start.keys() - overridden_layers(graph, precision)
    return search_precision(
        start, movable, rank=rank, measure=measure, gate=gate, config=config, on_trial=tell
    )


def report_search(result: SearchResult, graph: fx.GraphModule) -> PrecisionSearch:
    """Returns a search as a report has it."""
    paths = {node.name: str(node.meta.get("module_path", "")) for node in graph.graph.nodes}
    return PrecisionSearch(
        changes=tuple(
            PrecisionChange(
                node=lift.layer,
                module_path=paths[lift.layer],
                before=lift.before.weights.value,
                after=lift.after.weights.value,
                output_sqnr_db=lift.loss.output_sqnr_db,
                output_kl=lift.loss.output_kl,
            )
            for lift in result.best.lifts
        ),
        trials=tuple(map(_report_trial, result.trials)),
        is_complete=result.is_complete,
    )


def _describe(trial: Trial) -> str:
    """Says in a line what was tried and what came of it."""
    count, found = len({lift.layer for lift in trial.lifts}), trial.measured
    layers = f"{count} layer{'' if count == 1 else 's'} with more bits"
    drop = "" if found.drop is None else f"drop {found.drop:.4f}, "
    ending = "holds" if trial.holds else "fails"
    return f"{trial.reason}: {layers}, {drop}{found.sqnr_db:.2f} dB, {ending}"


def _report_trial(trial: Trial) -> PrecisionTrial:
    report = trial.measured
    return PrecisionTrial(
        reason=trial.reason,
        nodes=tuple(dict.fromkeys(lift.layer for lift in trial.lifts)),
        drop=report.drop,
        sqnr_db=report.finite_sqnr_db,
        holds=trial.holds,
    )
