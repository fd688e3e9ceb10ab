"""Puts the commands together and decides how the program ends."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from smidgen.cli import (
    aliases,
    bench,
    calibrate,
    calibrations,
    connecting,
    convert,
    data_directory,
    datasets,
    export,
    health,
    infer,
    inspect,
    jobs,
    models,
    report,
    serve,
    shard,
    tokens,
    train,
    transfer,
)
from smidgen.cli.exits import ExitCode, UsageError, exit_code
from smidgen.cli.output import report_error
from smidgen.errors import SmidgenError

app = typer.Typer(
    name="smidgen",
    help="Makes neural networks small and fast without losing their accuracy, and serves them.",
    epilog=(
        "Exit codes: 0 done, 1 refused or failed by the server, 2 bad usage or bad local file, "
        "3 no answer from a server, 130 interrupted."
    ),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
    add_completion=False,
)
connecting.register(app)
for module in (
    serve,
    health,
    transfer,
    shard,
    calibrate,
    train,
    convert,
    report,
    infer,
    bench,
    inspect,
    export,
    data_directory,
):
    module.register(app)
app.add_typer(models.app, name="models")
app.add_typer(aliases.app, name="alias")
app.add_typer(datasets.app, name="datasets")
app.add_typer(calibrations.app, name="calibrations")
app.add_typer(jobs.app, name="jobs")
app.add_typer(tokens.app, name="token")


def main() -> None:
    """Runs the command line of this process."""
    sys.exit(run(sys.argv[1:]))


def run(arguments: Sequence[str]) -> int:
    """Runs one command and returns its exit code. Expected errors are written, not raised."""
    as_json = "--json" in arguments
    try:
        result = app(list(arguments), prog_name="smidgen", standalone_mode=not as_json)
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else ExitCode.OK
    except typer.TyperException as error:
        report_error(UsageError(error.format_message()), as_json=True)
        return ExitCode.USAGE
    except SmidgenError as error:
        report_error(error, as_json=as_json)
        return exit_code(error)
    except OSError as error:
        report_error(_local_error(error), as_json=as_json)
        return ExitCode.USAGE
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return result if isinstance(result, int) else ExitCode.OK


def _local_error(error: OSError) -> UsageError:
    subject = f"{error.filename}: " if error.filename else ""
    return UsageError(f"{subject}{error.strerror or error}", reason="FILE_UNUSABLE")
