"""`smidgen inspect`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Group, RenderableType

from smidgen.cli.options import AsJson
from smidgen.cli.output import emit
from smidgen.cli.views import facts, listing, size
from smidgen.inspection import FileFacts, LayerFacts, inspect_file
from smidgen.plural import counted
from smidgen.tensor_spec import TensorSpec


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("inspect")(inspect)


def inspect(
    path: Annotated[
        Path,
        typer.Argument(exists=True, dir_okay=False, help="A .pt2, .onnx or .smidgen file."),
    ],
    *,
    as_json: AsJson = False,
) -> None:
    """Show what is in a model file, without a server, and execute nothing of it.

    Operators, shapes, parameters and multiply-accumulates for one sample; and for each layer
    whether convert would quantize it, or why it would stay in float. The last needs torch.
    """
    found = inspect_file(path)
    emit({"path": str(path), **found.to_dict()}, _view(path, found), as_json=as_json)


def _view(path: Path, found: FileFacts) -> RenderableType:
    return Group(listing(_COLUMNS, map(_row, found.layers)), facts(_summary(path, found)))


_COLUMNS = (
    "Layer",
    "Module",
    "Operator",
    "Gives",
    "Parameters",
    "Bytes",
    "MACs",
    "Quantized",
)


def _row(layer: LayerFacts) -> tuple[str, ...]:
    shape = TensorSpec(layer.name, layer.dtype, layer.shape).describe_shape()
    return (
        layer.name,
        layer.module_path,
        layer.op,
        f"{layer.dtype} {shape}",
        str(layer.parameter_count or ""),
        size(layer.parameter_bytes) if layer.parameter_bytes else "",
        f"{layer.multiplications:,}" if layer.multiplications else "",
        _placement(layer),
    )


def _placement(layer: LayerFacts) -> str:
    placement = layer.placement
    if placement is None:
        return "?"
    if placement.is_quantized:
        return "yes"
    shown = f"{placement.reason}: {placement.detail}" if placement.detail else placement.reason
    return f"{shown} ({layer.source})" if _is_unsupported(layer) and layer.source else shown


def _summary(path: Path, found: FileFacts) -> list[tuple[str, object]]:
    operators = ", ".join(f"{count} {name}" for name, count in found.operators.items())
    unsupported = sum(_is_unsupported(layer) for layer in found.layers)
    is_known = all(layer.placement is not None for layer in found.layers)
    quantized = sum(
        layer.placement is not None and layer.placement.is_quantized for layer in found.layers
    )
    return [
        ("File", path),
        ("Format", found.format),
        ("Size", size(found.size_bytes)),
        ("SHA-256", found.sha256),
        ("Inputs", _specs(found.inputs)),
        ("Outputs", _specs(found.outputs)),
        ("Operators", operators),
        ("Parameters", f"{found.parameter_count:,} ({size(found.parameter_bytes)})"),
        ("MACs", f"{found.multiplications:,} for one sample"),
        (
            "Quantized",
            counted(quantized, "layer") if is_known else "install smidgen[optimize] to see",
        ),
        (
            "Unsupported",
            f"{counted(unsupported, 'layer')}, convert would refuse it" if unsupported else "",
        ),
        ("Warnings", "\n".join(found.warnings)),
        ("Images", _images(found.preprocessing)),
        ("Lineage", ", ".join(f"{key} {value}" for key, value in found.lineage.items())),
    ]


def _images(document: Mapping[str, Any] | None) -> str:
    """Says what is done to images, leaving out what is not."""
    if document is None:
        return ""
    return ", ".join(
        f"{name.replace('_', ' ')} {' x '.join(map(str, value))}"
        if name in ("resize", "crop")
        else f"{name.replace('_', ' ')} {value}"
        for name, value in document.items()
        if value not in (None, "")
    )


def _is_unsupported(layer: LayerFacts) -> bool:
    return layer.placement is not None and layer.placement.reason == "UNSUPPORTED"


def _specs(specs: tuple[TensorSpec, ...]) -> str:
    return ", ".join(f"{spec.name} {spec.dtype} {spec.describe_shape()}" for spec in specs)
