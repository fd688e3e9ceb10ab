"""Pools of quantized values, and quantized images of another size."""

from __future__ import annotations

from torch import fx, nn

from smidgen import program as steps
from smidgen.convertible import max_pool_padding
from smidgen.forms import Form
from smidgen.graph import modules
from smidgen.graph.operations import OpKind
from smidgen.passes.operators import UNBOUNDED, clamp_of, module_of, operands, pair
from smidgen.program.step_fields import both_ends, pixel_ratio
from smidgen.program_writer.elementwise import plain_clamp
from smidgen.program_writer.writer import ProgramWriter, shape_of


def max_pool(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a max pool."""
    pool = module_of(writer.graph, node)
    assert isinstance(pool, nn.MaxPool2d)
    (source,) = operands(node)
    writer.add(
        steps.MaxPool2d(
            input=writer.read(source, Form.QUANTIZED),
            output=writer.define(node),
            kernel=pair(pool.kernel_size),
            stride=pair(pool.stride),
            padding=max_pool_padding(pool, source, node),
            dilation=pair(pool.dilation),
        )
    )


def average_pool(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes an average pool, over windows or the whole image, with its fused clamp."""
    if writer.form(node) is Form.PLAIN:
        _plain_mean(writer, node)
        return
    source, output = writer.read(operands(node)[0], Form.QUANTIZED), writer.define(node)
    qmin, qmax = writer.clamp(node)
    if node.meta["op"] == OpKind.GLOBAL_AVERAGE_POOL:
        writer.add(steps.GlobalAveragePool(source, output, qmin, qmax))
        return
    pool = module_of(writer.graph, node)
    assert isinstance(pool, nn.AvgPool2d)
    writer.add(
        steps.AveragePool2d(
            input=source,
            output=output,
            kernel=pair(pool.kernel_size),
            stride=pair(pool.stride),
            padding=both_ends(pair(pool.padding)),
            count_include_pad=pool.count_include_pad,
            qmin=qmin,
            qmax=qmax,
        )
    )


def _plain_mean(writer: ProgramWriter, node: fx.Node) -> None:
    source, bounds = writer.read(operands(node)[0], Form.PLAIN), clamp_of(writer.graph, node)
    axes = (2, 3)
    if bounds == UNBOUNDED:
        writer.add(steps.Reduce(source, writer.define(node), "mean", axes, keep_dims=True))
        return
    mean = writer.plain(node, "unclamped", shape_of(node))
    writer.add(steps.Reduce(source, mean, "mean", axes, keep_dims=True))
    writer.add(steps.Unary(mean, writer.define(node), *plain_clamp(*bounds)))


def resize(writer: ProgramWriter, node: fx.Node) -> None:
    """Writes a resize."""
    module = module_of(writer.graph, node)
    assert isinstance(module, modules.Resize)
    (source,) = operands(node)
    extents = [int(extent or 1) for extent in shape_of(source)[2:]]
    writer.add(
        steps.Resize(
            input=writer.read(source, Form.QUANTIZED),
            output=writer.define(node),
            mode=module.mode,
            size=module.size,
            ratio=tuple(_ratio(module, extent, axis) for axis, extent in enumerate(extents)),
            align_corners=module.align_corners,
        )
    )


def _ratio(module: modules.Resize, extent: int, axis: int) -> float:
    scale = None if module.scales is None else module.scales[axis]
    return pixel_ratio(extent, module.size[axis], scale, align_corners=module.align_corners)
