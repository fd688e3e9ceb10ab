"""`smidgen infer`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from numpy.typing import NDArray
from rich.console import Group, RenderableType
from rich.text import Text

from smidgen.cli.arrays import read_arrays, write_arrays
from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json
from smidgen.cli.exits import UsageError
from smidgen.cli.options import DEFAULT_TARGET, AsJson, Server, Version
from smidgen.cli.output import emit
from smidgen.cli.usage import check_folder, refuse_file, refuse_given
from smidgen.cli.views import facts
from smidgen.errors import InvalidTensorError
from smidgen.regular_file import open_regular

Outputs = Mapping[str, NDArray[Any]]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("infer")(infer)


def infer(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="Id of a model; with --local the path of a .smidgen file.")
    ],
    data: Annotated[
        Path | None, typer.Argument(exists=True, dir_okay=False, help="Inputs, .npz or .npy.")
    ] = None,
    *,
    image: Annotated[
        list[Path] | None,
        typer.Option(
            exists=True,
            dir_okay=False,
            help="JPEG or PNG instead of arrays, for a version that records its preprocessing; "
            "repeatable.",
        ),
    ] = None,
    version: Version = None,
    output_name: Annotated[
        list[str] | None, typer.Option(help="Output to return; repeatable. Default: all.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Write the outputs to this .npz or .npy file."),
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Threads, with --local.")] = 1,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
    local: Annotated[
        bool, typer.Option("--local", help="Run an artifact file here, without a server.")
    ] = False,
) -> None:
    """Run a converted model on arrays or images and print or write its outputs."""
    if (data is None) == (not image):
        raise UsageError(
            "Inference needs inputs from one place; give a file of arrays or --image",
            reason="INFER_SOURCE_INVALID",
        )
    if local:
        refuse_given(context, ["version"], "a file with --local is one version")
    else:
        refuse_file(model)
        refuse_given(context, ["threads"], "the server decides; see its --engine-threads")
    if out is not None:
        check_folder(out)
    arrays = read_arrays(data) if data is not None else {}
    images = [_bytes_of(path) for path in image or ()]
    origin: dict[str, Json]
    if local:
        from smidgen.cli.local_model import LocalModel  # noqa: PLC0415  (it loads the engine)

        loaded = LocalModel.load(Path(model), threads)
        found = loaded.run_images(images) if images else loaded.run(arrays)
        outputs = _select(found, output_name or [])
        origin = {"artifact": model, "isa": loaded.engine.isa}
    else:
        with connect(server) as client:
            inputs = arrays if "" not in arrays or len(arrays) > 1 else arrays[""]
            names = output_name or []
            if images:
                result = client.infer_images(model, images, version=version, output_names=names)
            else:
                result = client.infer(model, inputs, version=version, output_names=names)
        outputs = result.outputs
        origin = {
            "model_version": result.model_version,
            "isa": result.isa,
            "queue_time_s": result.queue_time_s,
            "compute_time_s": result.compute_time_s,
        }
    if out is not None:
        write_arrays(out, outputs)
        origin["path"] = str(out)
    emit(
        {**origin, "outputs": _document(outputs, with_values=out is None)},
        _view(origin, outputs, with_values=out is None),
        as_json=as_json,
    )


def _select(outputs: Outputs, names: list[str]) -> Outputs:
    unknown = [name for name in names if name not in outputs]
    if unknown:
        raise InvalidTensorError(
            f"The model has no output {', '.join(unknown)}; it has {', '.join(outputs)}",
            reason="OUTPUT_UNKNOWN",
            name=unknown[0],
        )
    return {name: outputs[name] for name in names} if names else outputs


def _document(outputs: Outputs, *, with_values: bool) -> dict[str, Json]:
    return {
        name: {
            "dtype": array.dtype.name,
            "shape": list(array.shape),
            **({"data": array.tolist()} if with_values else {}),
        }
        for name, array in outputs.items()
    }


def _view(origin: Mapping[str, Json], outputs: Outputs, *, with_values: bool) -> RenderableType:
    labels = {
        "model_version": "Version",
        "artifact": "Artifact",
        "isa": "Instruction set",
        "queue_time_s": "Queue time",
        "compute_time_s": "Compute time",
        "path": "File",
    }
    pairs = [
        (labels[key], f"{value * 1000:.3f} ms" if isinstance(value, float) else value)
        for key, value in origin.items()
    ]
    parts: list[RenderableType] = [facts(pairs)]
    for name, array in outputs.items():
        parts.append(Text(f"{name} {array.dtype.name} {list(array.shape)}", style="bold"))
        if with_values:
            parts.append(Text(np.array2string(array, precision=4, threshold=200)))
    return Group(*parts)


def _bytes_of(path: Path) -> bytes:
    with open_regular(path) as file:
        return file.read()
