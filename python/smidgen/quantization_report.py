"""Says node by node what quantization does to a model."""

from __future__ import annotations

import math
from collections.abc import Mapping

from torch import fx

from smidgen.config.precision import LayerPrecision, WeightBits
from smidgen.forms import Form, Forms, assign_forms
from smidgen.graph.operations import OpKind
from smidgen.passes.fold_batch_norm import Layer, by_output
from smidgen.passes.operators import Kind, kind_of, module_of
from smidgen.program import WeightPacking
from smidgen.qparams import QParams
from smidgen.report import NodeReport
from smidgen.weight_packing import PackedWeight

NO_STEP_REASONS = {
    Kind.IDENTITY: "REMOVED",
    Kind.BATCH_NORM: "FOLDED",
    Kind.CLAMP: "FUSED",
}
"""Why a node of this kind has no step of its own."""

TABLE_BYTES = 256


def report_nodes(
    imported: fx.GraphModule,
    fused: fx.GraphModule,
    qparams: Mapping[str, QParams],
    sqnr_db: Mapping[str, float | None],
    precisions: Mapping[str, LayerPrecision],
) -> tuple[NodeReport, ...]:
    """Reports each operation of the imported graph in execution order.

    Args:
        imported: The graph as it was imported.
        fused: The graph with one node for each integer step.
        qparams: Parameters of the fused nodes' outputs; empty in a plan without ranges.
        sqnr_db: Measured ratios by fused node; empty if not measured.
        precisions: Precision of the fused layers by node.
    """
    forms = assign_forms(fused)
    steps: dict[str, fx.Node] = {}
    for step in fused.graph.nodes:
        if kind_of(step) not in (Kind.INPUT, Kind.OUTPUT):
            steps[step.meta.get("sources", (step.name,))[0]] = step
    return tuple(
        _report(
            imported,
            node,
            fused,
            steps.get(node.name),
            forms,
            qparams=qparams,
            sqnr_db=sqnr_db,
            precisions=precisions,
        )
        for node in imported.graph.nodes
        if kind_of(node) not in (Kind.INPUT, Kind.OUTPUT)
    )


def _report(
    imported: fx.GraphModule,
    node: fx.Node,
    fused: fx.GraphModule,
    step: fx.Node | None,
    forms: Forms,
    *,
    qparams: Mapping[str, QParams],
    sqnr_db: Mapping[str, float | None],
    precisions: Mapping[str, LayerPrecision],
) -> NodeReport:
    module = module_of(imported, node)
    precision = None if step is None else precisions.get(step.name)
    is_quantized = step is not None and works_on_integers(step, forms)
    gives_integers = step is not None and forms.writes[step.name] is Form.QUANTIZED
    output = qparams.get(step.name) if step is not None and gives_integers else None
    return NodeReport(
        node=node.name,
        op=str(node.meta["op"]),
        is_quantized=is_quantized,
        module_path=node.meta.get("module_path", ""),
        reason=_reason(node, step, is_quantized=is_quantized),
        output_scale=0.0 if output is None else output.scale,
        output_zero_point=0 if output is None else output.zero_point,
        float_bytes=0 if module is None else sum(p.nbytes for p in module.parameters()),
        quantized_bytes=0
        if step is None
        else _bytes(fused, step, precision, is_quantized=is_quantized),
        weight_bits=0 if precision is None else precision.weights.width,
        sqnr_db=None if step is None else sqnr_db.get(step.name),
        activation="" if step is None else step.name,
    )


def works_on_integers(step: fx.Node, forms: Forms) -> bool:
    """Tells whether a step computes with integers, though it may give floats."""
    if step.meta.get("op") == OpKind.DYNAMIC_LINEAR:
        return True
    return Form.QUANTIZED in (forms.writes[step.name], forms.reads.get(step.name))


def _reason(node: fx.Node, step: fx.Node | None, *, is_quantized: bool) -> str:
    if step is None:
        return NO_STEP_REASONS.get(kind_of(node), "UNUSED")
    return "" if is_quantized else "FLOAT"


def _bytes(
    fused: fx.GraphModule, step: fx.Node, precision: LayerPrecision | None, *, is_quantized: bool
) -> int:
    """Bytes of a step's constants: weights, float32 scales and int32 bias, or a table."""
    layer = module_of(fused, step)
    if not is_quantized:
        return 0 if layer is None else sum(p.nbytes for p in layer.parameters())
    if isinstance(layer, Layer):
        weight = by_output(layer)
        return _weight_bytes(tuple(weight.shape), precision) + 8 * len(weight)
    return TABLE_BYTES if kind_of(step) in (Kind.UNARY, Kind.CLAMP) else 0


def _weight_bytes(shape: tuple[int, ...], precision: LayerPrecision | None) -> int:
    if precision is None or precision.weights is WeightBits.INT8:
        return math.prod(shape)
    packed = PackedWeight(WeightPacking(precision.group_size), shape)
    return shape[0] * packed.row_bytes
