"""`smidgen calibrate`."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from smidgen.cli.arrays import batches, read_samples
from smidgen.cli.connecting import connect
from smidgen.cli.documents import to_document
from smidgen.cli.exits import UsageError
from smidgen.cli.options import (
    DEFAULT_AVERAGING_CONSTANT,
    DEFAULT_PERCENTILE,
    DEFAULT_TARGET,
    AsJson,
    AveragingConstant,
    Method,
    Model,
    Percentile,
    PreprocessingFile,
    Server,
    ValidateOnly,
)
from smidgen.cli.output import emit
from smidgen.cli.preprocessing import read_preprocessing
from smidgen.cli.usage import refuse_given
from smidgen.cli.views import calibration_view
from smidgen.config import ObserverMethod


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("calibrate")(calibrate)


def calibrate(
    context: typer.Context,
    model: Model,
    data: Annotated[
        Path | None,
        typer.Argument(exists=True, dir_okay=False, help="Local samples, .npz or .npy."),
    ] = None,
    *,
    dataset: Annotated[str, typer.Option(help="Stored dataset instead of local samples.")] = "",
    samples: Annotated[
        int | None, typer.Option(min=1, help="Most local samples to send; all by default.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Local samples in a batch.")] = 32,
    method: Method = ObserverMethod.MIN_MAX,
    averaging_constant: AveragingConstant = DEFAULT_AVERAGING_CONSTANT,
    percentile: Percentile = DEFAULT_PERCENTILE,
    base: Annotated[
        list[str] | None,
        typer.Option(help="Calibration to merge in; may be repeated, and needs no samples."),
    ] = None,
    preprocessing: PreprocessingFile = None,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Find the ranges of a model's activations over representative data.

    Local samples are streamed in batches and never stored by the server. With --base and no
    samples, earlier calibrations are merged and get the ranges of --method without running the
    model.
    """
    _check_source(context, data, dataset, base or [])
    with connect(server) as client:
        if dataset:
            start = partial(
                client.calibrate_on_dataset,
                model,
                dataset,
                preprocessing=read_preprocessing(preprocessing),
            )
        else:
            local = batches(read_samples(data, samples), batch_size) if data is not None else ()
            start = partial(client.calibrate, model, local)
        found = start(
            method=method,
            averaging_constant=averaging_constant,
            percentile=percentile,
            bases=base or [],
            validate_only=validate_only,
        )
    emit(to_document(found), calibration_view(found), as_json=as_json)


def _check_source(context: typer.Context, data: Path | None, dataset: str, base: list[str]) -> None:
    if (data is not None and dataset) or not (data or dataset or base):
        raise UsageError(
            "Calibration needs samples from one place; give a local file, --dataset or --base",
            reason="CALIBRATION_SOURCE_INVALID",
        )
    if dataset:
        refuse_given(context, ["samples", "batch_size"], "a stored dataset is used whole")
        return
    refuse_given(context, ["preprocessing"], "local samples are sent as the model takes them")
    if data is None:
        refuse_given(context, ["samples", "batch_size"], "there are no local samples")
