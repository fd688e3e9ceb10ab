"""`smidgen convert`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import RenderableType

from smidgen.cli import options, precision
from smidgen.cli.connecting import connect
from smidgen.cli.documents import Json, to_document
from smidgen.cli.exits import UsageError
from smidgen.cli.following import follow
from smidgen.cli.output import emit
from smidgen.cli.pages import write_page
from smidgen.cli.preprocessing import augmentation_of, read_preprocessing
from smidgen.cli.usage import check_folder, is_given, refuse_file, refuse_given
from smidgen.cli.views import job_view
from smidgen.client import JobFailedError
from smidgen.client.report_documents import report_document
from smidgen.client.watching import FINAL_STATES
from smidgen.config import (
    CalibrationConfig,
    ConversionConfig,
    GateConfig,
    MeasurementConfig,
    ObserverMethod,
    PostTrainingConfig,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
    SearchConfig,
    TaskLoss,
    WeightBits,
)
from smidgen.extras import require_torch
from smidgen.v1 import job_service_pb2 as pb

_TRAINING = (
    "epochs",
    "fine_tune_epochs",
    "batch_size",
    "learning_rate",
    "task_loss",
    "quantization_loss_weight",
    "seed",
    "flip",
    "least_area",
)
_ONLY_LOCAL = ("quantized", "train", "method", *_TRAINING)
_POST_TRAINING = ("equalize", "round_weights", "correct_bias")
_SEARCH = ("search_evaluations", "search_seconds")
_NOT_QUANTIZED = (
    "calibration",
    "evaluation_dataset",
    "train",
    "method",
    "preprocessing",
    "max_drop",
    "min_sqnr_db",
    "sensitivity_seconds",
    "latency",
    "search",
    *_POST_TRAINING,
    *_TRAINING,
    *precision.PRECISION_OPTIONS,
)
_ONLY_REMOTE = ("train_job", "calibration_dataset", "detach", "validate_only")
_UNLESS_QUANTIZED = ", or --quantized for an ONNX model that has its scales already"
_WITHOUT_LOCAL = (
    "a server converts what `smidgen calibrate` or `smidgen train-qat` made; "
    "give the options to these, or add --local"
)


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("convert")(convert)


def convert(
    context: typer.Context,
    model: Annotated[
        str, typer.Argument(help="Id of a model; with --local the path of a .pt2 or .onnx file.")
    ],
    *,
    calibration: Annotated[
        str,
        typer.Option(
            help="Calibration to convert with, but for models that were uploaded quantized; with "
            "--local samples, .npz or .safetensors."
        ),
    ] = "",
    train_job: Annotated[str, typer.Option(help="Succeeded train-qat job instead.")] = "",
    evaluation_dataset: Annotated[
        str,
        typer.Option(help="Labelled dataset to report accuracies on; with --local a file."),
    ] = "",
    equalize: options.Equalize = False,
    round_weights: options.RoundWeights = False,
    correct_bias: options.CorrectBias = False,
    calibration_dataset: Annotated[
        str,
        typer.Option(
            help="Stored samples for --equalize, --round-weights and --correct-bias; with --local "
            "these take the samples of --calibration."
        ),
    ] = "",
    max_drop: options.MaxDrop = None,
    min_sqnr_db: options.MinSqnr = None,
    search: options.Search = False,
    search_evaluations: options.SearchEvaluations = options.DEFAULT_SEARCH_EVALUATIONS,
    search_seconds: options.SearchSeconds = None,
    out: Annotated[
        Path | None,
        typer.Option(dir_okay=False, help="Where to put the artifact; needed with --local."),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option(
            dir_okay=False, help="Write the report as one HTML page to this file, as report does."
        ),
    ] = None,
    detach: options.Detach = False,
    validate_only: options.ValidateOnly = False,
    server: options.Server = options.DEFAULT_TARGET,
    as_json: options.AsJson = False,
    local: Annotated[
        bool, typer.Option("--local", help="Convert here, without a server; needs torch.")
    ] = False,
    quantized: Annotated[
        bool,
        typer.Option(
            "--quantized",
            help="With --local: the ONNX model is quantized already; keep its scales. "
            "Needs neither samples nor torch.",
        ),
    ] = False,
    train: Annotated[
        Path | None,
        typer.Option(exists=True, help="Train on this labelled file, or on a folder of shards."),
    ] = None,
    method: options.Method = ObserverMethod.MIN_MAX,
    epochs: options.Epochs = options.DEFAULT_EPOCHS,
    fine_tune_epochs: options.FineTuneEpochs = options.DEFAULT_FINE_TUNE_EPOCHS,
    batch_size: options.BatchSize = options.DEFAULT_BATCH_SIZE,
    learning_rate: options.LearningRate = options.DEFAULT_LEARNING_RATE,
    task_loss: options.Loss = TaskLoss.CROSS_ENTROPY,
    quantization_loss_weight: options.LossWeight = options.DEFAULT_LAMBDA,
    seed: options.Seed = 0,
    weights: precision.Weights = WeightBits.INT8,
    group_size: precision.GroupSize = precision.DEFAULT_GROUP_SIZE,
    override: precision.Overrides = None,
    preprocessing: options.PreprocessingFile = None,
    sensitivity_seconds: options.SensitivitySeconds = 0.0,
    latency: options.Latency = False,
    flip: options.Flip = False,
    least_area: options.LeastArea = 1.0,
) -> None:
    """Turn a calibrated or trained model into an integer model.

    On the server the result is a new version, ready to serve. With --local it is a file, and
    --method, --train, --epochs and the other options of training apply. A --preprocessing is
    recorded, so that infer takes images.
    """
    for path in (out, report):
        if path is not None:
            check_folder(path)
    wanted = precision.precision_config(weights, group_size, override)
    images = read_preprocessing(preprocessing)
    if not search:
        refuse_given(context, _SEARCH, "nothing is searched for without --search")
    conversion = ConversionConfig(
        PostTrainingConfig(equalize, round_weights, correct_bias),
        GateConfig(max_drop, min_sqnr_db),
        SearchConfig(search_evaluations, search_seconds) if search else None,
        MeasurementConfig(sensitivity_seconds, latency),
    )
    if not local:
        refuse_file(model)
        refuse_given(context, _ONLY_LOCAL, _WITHOUT_LOCAL)
        if detach or validate_only:
            refuse_given(context, ("out", "report"), "the command ends before there is a result")
        job = _convert_on_server(
            server,
            model,
            calibration=calibration,
            train_job=train_job,
            evaluation_dataset=evaluation_dataset,
            precision=_asked(context, wanted),
            conversion=conversion,
            calibration_dataset=calibration_dataset,
            preprocessing=images,
            wait=not (detach or validate_only),
            validate_only=validate_only,
            quiet=as_json,
        )
        if job.HasField("convert"):
            _keep(server, job, out, report)
        emit(to_document(job), job_view(job), as_json=as_json)
        return
    refuse_given(context, _ONLY_REMOTE, "a conversion with --local has no job")
    if quantized:
        refuse_given(context, _NOT_QUANTIZED, "a quantized model keeps the scales that it has")
        emit(*_convert_quantized(Path(model), out, report), as_json=as_json)
        return
    if train is None:
        refuse_given(context, _TRAINING, "nothing is trained without --train")
    else:
        refuse_given(context, _POST_TRAINING, "training finds better weights")
    require_torch()
    from smidgen.cli.local_conversion import convert_file  # noqa: PLC0415  (it imports torch)

    document, view = convert_file(
        Path(model),
        calibration=_needed_path(calibration, "--calibration", _UNLESS_QUANTIZED),
        out=_needed_path(str(out or ""), "--out"),
        page=report,
        train=train,
        evaluation=Path(evaluation_dataset) if evaluation_dataset else None,
        calibration_config=CalibrationConfig(method),
        conversion=conversion,
        config=QATConfig(
            epochs=epochs,
            fine_tune_epochs=fine_tune_epochs,
            batch_size=batch_size,
            learning_rate=learning_rate,
            task_loss=task_loss,
            quantization_loss_weight=quantization_loss_weight,
            seed=seed,
        ),
        precision=wanted,
        preprocessing=images,
        augmentation=augmentation_of(images, flip=flip, least_area=least_area),
        quiet=as_json,
    )
    emit(document, view, as_json=as_json)


def _keep(server: str, job: pb.Job, out: Path | None, page: Path | None) -> None:
    """Writes the artifact and the page of a conversion that has succeeded, as far as asked for."""
    if out is None and page is None:
        return
    with connect(server) as client:
        if out is not None:
            client.download_artifact(job.convert.model_version, out)
        if page is not None:
            write_page(page, report_document(client.get_report(job.name, histograms=True)))


def _convert_quantized(
    model: Path, out: Path | None, page: Path | None
) -> tuple[Json, RenderableType]:
    from smidgen.cli.quantized_conversion import convert_quantized_file  # noqa: PLC0415 (slow)

    return convert_quantized_file(model, _needed_path(str(out or ""), "--out"), page)


def _convert_on_server(
    server: str,
    model: str,
    *,
    calibration: str,
    train_job: str,
    evaluation_dataset: str,
    precision: PrecisionConfig | None,
    conversion: ConversionConfig,
    calibration_dataset: str,
    preprocessing: Preprocessing | None,
    wait: bool,
    validate_only: bool,
    quiet: bool,
) -> pb.Job:
    with connect(server) as client:
        job = client.convert(
            model,
            calibration=calibration,
            train_job=train_job,
            evaluation_dataset=evaluation_dataset,
            precision=precision,
            config=conversion,
            calibration_dataset=calibration_dataset,
            preprocessing=preprocessing,
            validate_only=validate_only,
        )
        if not wait:
            return job
        if job.state not in FINAL_STATES:
            return follow(client, job, quiet=quiet, cancel_on_interrupt=False)
        if job.state != pb.JOB_STATE_SUCCEEDED:
            raise JobFailedError(job)
        return job


def _asked(context: typer.Context, wanted: PrecisionConfig | None) -> PrecisionConfig | None:
    """Returns the precision as it was asked for: int8 is not what a training for int4 has."""
    is_asked = any(is_given(context, option) for option in precision.PRECISION_OPTIONS)
    return PrecisionConfig() if wanted is None and is_asked else wanted


def _needed_path(path: str, option: str, unless: str = "") -> Path:
    if not path:
        raise UsageError(
            f"convert --local needs {option}; give it a path{unless}",
            reason="OPTION_MISSING",
            option=option,
        )
    return Path(path)
