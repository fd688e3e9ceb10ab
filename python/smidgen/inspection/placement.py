"""Foresees what convert does with each node of a model, without ranges and without converting."""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from smidgen.convertible import quantized_problem, step_problem
from smidgen.forms import Form, Forms, assign_forms, possible_forms
from smidgen.graph.build import build_graph
from smidgen.graph.exported import ExportedModel
from smidgen.inspection.facts import Placement
from smidgen.passes import fuse_for_inference
from smidgen.passes.operators import Kind, kind_of
from smidgen.quantization_report import NO_STEP_REASONS, works_on_integers

_ENDS = (Kind.INPUT, Kind.OUTPUT)


def expected_placements(model: ExportedModel) -> tuple[Placement, ...]:
    """Returns for each node of a model how it would be quantized."""
    imported = build_graph(model)
    fused = fuse_for_inference(imported)
    steps = [node for node in fused.graph.nodes if kind_of(node) not in _ENDS]
    problems = {
        step.name: problem for step in steps if (problem := step_problem(fused, step)) is not None
    }
    forms = None if problems else assign_forms(fused)
    owners = {source: step for step in steps for source in _sources(step)}
    return tuple(
        _of_node(node, _owner(node, owners), fused, forms, problems)
        for node in imported.graph.nodes
        if kind_of(node) not in _ENDS
    )


def _owner(node: fx.Node, owners: Mapping[str, fx.Node]) -> fx.Node | None:
    """Returns the step that computes a node's value, or else the first that was made of it."""
    while node.name not in owners and node.users:
        node = next(iter(node.users))
    return owners.get(node.name)


def _of_node(
    node: fx.Node,
    step: fx.Node | None,
    fused: fx.GraphModule,
    forms: Forms | None,
    problems: dict[str, str],
) -> Placement:
    if step is None or kind_of(node) is Kind.IDENTITY:
        return Placement(False, NO_STEP_REASONS.get(kind_of(node), "UNUSED"))
    if _sources(step)[0] != node.name:
        reason = NO_STEP_REASONS.get(kind_of(node), "FUSED")
        return Placement(False, reason, f"part of {_sources(step)[0]}")
    if step.name in problems:
        return Placement(False, "UNSUPPORTED", problems[step.name])
    if _is_quantized(fused, step, forms):
        return Placement(True)
    problem = quantized_problem(fused, step)
    return Placement(False, "FLOAT", problem or "all that is around it works on floats")


def _is_quantized(fused: fx.GraphModule, step: fx.Node, forms: Forms | None) -> bool:
    """Tells whether a step works on integers; may, where the model cannot be converted."""
    if forms is None:
        return Form.QUANTIZED in possible_forms(fused, step)
    if kind_of(step) is Kind.CONSTANT:
        return forms.is_quantized(step)
    return works_on_integers(step, forms)


def _sources(step: fx.Node) -> tuple[str, ...]:
    """Returns the nodes that became a step, the one that it computes first."""
    sources: tuple[str, ...] = step.meta.get("sources", (step.name,))
    return sources
