"""`smidgen calibrate`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from smidgen.cli.arrays import batches, read_samples
from smidgen.cli.documents import to_document
from smidgen.cli.exits import UsageError
from smidgen.cli.options import (
    DEFAULT_AVERAGING_CONSTANT,
    DEFAULT_TARGET,
    AsJson,
    AveragingConstant,
    Method,
    Model,
    PreprocessingFile,
    Server,
    ValidateOnly,
)
from smidgen.cli.output import emit
from smidgen.cli.preprocessing import read_preprocessing
from smidgen.cli.usage import refuse_given
from smidgen.cli.views import calibration_view
from smidgen.client import Client
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
    preprocessing: PreprocessingFile = None,
    validate_only: ValidateOnly = False,
    server: Server = DEFAULT_TARGET,
    as_json: AsJson = False,
) -> None:
    """Find the ranges of a model's activations over representative data.

    Local samples are streamed in batches and never stored by the server.
    """
    if (data is None) == (not dataset):
        raise UsageError(
            "Calibration needs samples from one place; give a local file or --dataset",
            reason="CALIBRATION_SOURCE_INVALID",
        )
    if dataset:
        refuse_given(context, ["samples", "batch_size"], "a stored dataset is used whole")
    else:
        refuse_given(context, ["preprocessing"], "local samples are sent as the model takes them")
    with Client(server) as client:
        if data is None:
            found = client.calibrate_on_dataset(
                model,
                dataset,
                method=method,
                averaging_constant=averaging_constant,
                preprocessing=read_preprocessing(preprocessing),
                validate_only=validate_only,
            )
        else:
            found = client.calibrate(
                model,
                batches(read_samples(data, samples), batch_size),
                method=method,
                averaging_constant=averaging_constant,
                validate_only=validate_only,
            )
    emit(to_document(found), calibration_view(found), as_json=as_json)
