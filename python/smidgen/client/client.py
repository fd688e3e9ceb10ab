"""The synchronous client of a Smidgen server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path
from types import TracebackType
from typing import Self

import grpc
import numpy as np
from numpy.typing import NDArray

from smidgen.client import requests
from smidgen.client.access import call_metadata
from smidgen.client.calls import Caller
from smidgen.client.channel import DEFAULT_TARGET, open_channel
from smidgen.client.downloads import Download
from smidgen.client.errors import JobFailedError, RemoteError
from smidgen.client.health import wait_until_serving
from smidgen.client.names import (
    alias_name,
    calibration_name,
    dataset_name,
    job_name,
    model_name,
    version_name,
)
from smidgen.client.paging import pages
from smidgen.client.patience import Patience
from smidgen.client.requests import Batch, new_request_id
from smidgen.client.results import InferResult, decode_result
from smidgen.client.shards import plan_shards
from smidgen.client.uploads import (
    LocalFile,
    TransferProgress,
    Upload,
    dataset_format,
    model_format,
)
from smidgen.client.watching import JobWatch
from smidgen.config import (
    Augmentation,
    CalibrationConfig,
    ConversionConfig,
    ObserverMethod,
    PrecisionConfig,
    Preprocessing,
    QATConfig,
)
from smidgen.data.parquet import as_archive
from smidgen.errors import InvalidConfigError
from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import report_service_pb2 as reports_pb
from smidgen.v1.dataset_service_pb2_grpc import DatasetServiceStub
from smidgen.v1.inference_service_pb2_grpc import InferenceServiceStub
from smidgen.v1.job_service_pb2_grpc import JobServiceStub
from smidgen.v1.model_service_pb2_grpc import ModelServiceStub
from smidgen.v1.optimization_service_pb2_grpc import OptimizationServiceStub
from smidgen.v1.report_service_pb2_grpc import ReportServiceStub


def _ignore(_done_bytes: int, _total_bytes: int) -> None:
    """Reports transfers to nobody."""


class Client:
    """Calls a Smidgen server. Safe to use from several threads.

    Models, jobs and the like are the messages of the protocol; tensors are numpy arrays. Names may
    be ids (`digits`) or full names (`models/digits`). Every call has a deadline, is repeated while
    no server answers, and raises RemoteError.

        with Client("127.0.0.1:8001") as client:
            client.upload_model("digits.pt2", "digits")
            calibration = client.calibrate("digits", batches)
            job = client.convert("digits", calibration=calibration.name, wait_s=60)
            logits = client.infer("digits", images)["logits"]

    Args:
        target: `host:port` of the server.
        timeout_s: Deadline of calls with one answer, in seconds.
        stream_timeout_s: Deadline of one upload, download or calibration, in seconds.
        patience_s: How long an upload, a download or a watch waits for a server that went away, in
            seconds.
        credentials: For TLS, for instance those of `smidgen.client.Access`; without them the
            connection is plain text.
        waits_for_server: Whether calls with one answer wait until their deadline for a server that
            is not there, starts or stops, instead of failing within about a second: for programs
            that go on while a server is restarted.
        token: Says who is calling, where the server wants to know. Over plain text it is sent to
            this machine alone.

    Raises: AccessError for a token that must not be sent.
    """

    def __init__(
        self,
        target: str = DEFAULT_TARGET,
        *,
        timeout_s: float = 60.0,
        stream_timeout_s: float = 3600.0,
        patience_s: float = 60.0,
        waits_for_server: bool = False,
        credentials: grpc.ChannelCredentials | None = None,
        token: str | None = None,
    ) -> None:
        self.target = target
        self._patience_s = patience_s
        metadata = call_metadata(target, token, is_encrypted=credentials is not None)
        self._caller = Caller(target, timeout_s, stream_timeout_s, metadata, waits_for_server)
        self._channel = open_channel(target, credentials)
        self._models = ModelServiceStub(self._channel)
        self._datasets = DatasetServiceStub(self._channel)
        self._optimization = OptimizationServiceStub(self._channel)
        self._jobs = JobServiceStub(self._channel)
        self._reports = ReportServiceStub(self._channel)
        self._inference = InferenceServiceStub(self._channel)

    def __repr__(self) -> str:
        return f"Client({self.target!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Ends all calls and closes the connection."""
        self._caller.closed.set()
        self._channel.close()

    def wait_ready(self, timeout_s: float = 60.0) -> None:
        """Waits until the server serves. Raises: UnavailableError after timeout_s seconds."""
        wait_until_serving(self._channel, self.target, timeout_s)

    def upload_model(
        self,
        path: str | Path,
        model_id: str,
        *,
        display_name: str = "",
        file_format: models_pb.ModelFormat.ValueType | None = None,
        request_id: str = "",
        validate_only: bool = False,
        on_progress: TransferProgress = _ignore,
    ) -> models_pb.Model:
        """Uploads a float model (`.pt2` or `.onnx`) or an artifact (`.smidgen`).

        A broken connection is resumed where it stopped. With a request_id of its own, a UUID, an
        upload can also be resumed by a later process.

        Raises: InvalidModelError where name and content tell no format, or different ones; OSError;
        RemoteError.
        """
        file = LocalFile.inspect(Path(path))
        is_continued = bool(request_id)
        request_id = request_id or new_request_id()
        header = models_pb.UploadModelHeader(
            model_id=model_id,
            display_name=display_name,
            format=model_format(file.path) if file_format is None else file_format,
            total_bytes=file.size_bytes,
            sha256=file.sha256,
            request_id=request_id,
            validate_only=validate_only,
        )
        return Upload(
            caller=self._caller,
            get_upload=self._models.GetUpload,
            method=self._models.UploadModel,
            header=models_pb.UploadModelRequest(header=header),
            wrap=lambda chunk: models_pb.UploadModelRequest(chunk=chunk),
            file=file,
            request_id=request_id,
            is_continued=is_continued,
        ).run(self._patience(), on_progress)

    def upload_dataset(
        self,
        path: str | Path,
        dataset_id: str,
        *,
        file_format: datasets_pb.DatasetFormat.ValueType | None = None,
        request_id: str = "",
        validate_only: bool = False,
        on_progress: TransferProgress = _ignore,
    ) -> datasets_pb.Dataset:
        """Uploads a dataset (`.npz`, `.safetensors`, or images in `.tar`, `.zip` or `.parquet`).

        Resumes as upload_model does. A `.parquet` file whose format is not given is rewritten as a
        shard of WebDataset first.

        Of a folder, each file becomes a dataset of its own, `{dataset_id}-000` and so on in the
        order of their names, and these are joined. Called again after it was broken off, it sends
        what is not there yet.

        Raises: InvalidDatasetError where the extension tells no format, the Parquet file is
            malformed, or the folder holds files of several formats; InvalidConfigError where
            validate_only is asked of a folder; MissingExtraError; OSError; RemoteError.
        """
        given = Path(path)
        if not given.is_dir():
            return self._upload_file(
                given, dataset_id, file_format, request_id, on_progress, validate_only=validate_only
            )
        if validate_only:
            raise InvalidConfigError(
                "The files of a folder can only be joined when they are stored. Validate them one "
                "by one.",
                reason="VALIDATE_ONLY_OF_FOLDER",
                field="validate_only",
            )
        names = [
            self._upload_file(
                shard.path,
                shard.dataset_id,
                file_format,
                shard.request_id,
                shard.report_to(on_progress),
                is_shard=True,
            ).name
            for shard in plan_shards(given, dataset_id, request_id)
        ]
        return self.create_dataset(dataset_id, names, request_id=request_id)

    def create_dataset(
        self,
        dataset_id: str,
        shards: Sequence[str],
        *,
        request_id: str = "",
        validate_only: bool = False,
    ) -> datasets_pb.Dataset:
        """Makes one dataset of stored ones: their samples one after the other, in this order.

        Nothing is copied, and the shards may be deleted afterwards.

        Raises: RemoteError.
        """
        request = datasets_pb.CreateDatasetRequest(
            dataset_id=dataset_id,
            shards=[dataset_name(shard) for shard in shards],
            request_id=request_id or new_request_id(),
            validate_only=validate_only,
        )
        return self._caller.unary(self._datasets.CreateDataset, request)

    def _upload_file(
        self,
        given: Path,
        dataset_id: str,
        file_format: datasets_pb.DatasetFormat.ValueType | None,
        request_id: str,
        on_progress: TransferProgress,
        *,
        validate_only: bool = False,
        is_shard: bool = False,
    ) -> datasets_pb.Dataset:
        """Uploads one file; a shard that is there already, with the same bytes, is taken as it is.

        Raises: See upload_dataset.
        """
        with as_archive(given) if file_format is None else nullcontext(given) as archive:
            file = LocalFile.inspect(archive)
            header = datasets_pb.UploadDatasetHeader(
                dataset_id=dataset_id,
                format=dataset_format(archive) if file_format is None else file_format,
                total_bytes=file.size_bytes,
                sha256=file.sha256,
                request_id=request_id or new_request_id(),
                validate_only=validate_only,
            )
            upload = Upload(
                caller=self._caller,
                get_upload=self._models.GetUpload,
                method=self._datasets.UploadDataset,
                header=datasets_pb.UploadDatasetRequest(header=header),
                wrap=lambda chunk: datasets_pb.UploadDatasetRequest(chunk=chunk),
                file=file,
                request_id=header.request_id,
                is_continued=bool(request_id),
            )
            try:
                return upload.run(self._patience(), on_progress)
            except RemoteError as error:
                if not is_shard or error.code != "ALREADY_EXISTS":
                    raise
                found = self.get_dataset(dataset_id)
                if (found.sha256, found.format) != (header.sha256, header.format):
                    raise
                return found

    def download_artifact(
        self,
        model: str,
        path: str | Path,
        *,
        version: int | str | None = None,
        on_progress: TransferProgress = _ignore,
    ) -> models_pb.ModelVersion:
        """Fetches a version's artifact file, the newest by default, and returns the version.

        A version may be named by an alias here and below.

        The file appears at path when it is whole and its SHA-256 is right; a broken download is
        resumed.

        Raises: ArtifactError for bytes that are not the version's; OSError; RemoteError.
        """
        found = self.get_version(model, version)
        patience = self._patience()
        patience.seen()
        method = self._models.DownloadArtifact
        Download(self._caller, method, found, on_progress).run(Path(path), patience)
        return found

    def calibrate(
        self,
        model: str,
        batches: Iterable[Batch],
        *,
        method: ObserverMethod = ObserverMethod.MIN_MAX,
        averaging_constant: float = 0.1,
        percentile: float = 99.99,
        bases: Sequence[str] = (),
        validate_only: bool = False,
    ) -> optimization_pb.Calibration:
        """Streams batches, each at most 64 MiB, to the server, which stores nothing of them.

        Args:
            model: The model.
            batches: Samples. With bases there may be none: then these are merged, and their ranges
                chosen anew, without running the model.
            method: How ranges are estimated.
            averaging_constant: Weight of a new batch in the moving average.
            percentile: Percent of the values that ObserverMethod.PERCENTILE keeps at either end.
            bases: Calibrations of the model whose statistics are merged in.
            validate_only: Whether to store nothing.

        Raises: RemoteError; InvalidTensorError; what iterating over batches raises.
        """
        config = CalibrationConfig(method, averaging_constant, percentile)
        header = requests.calibrate_header(model, config, bases=bases, validate_only=validate_only)
        messages = requests.calibrate_requests(header, batches)
        return self._caller.send(self._optimization.Calibrate, messages)

    def calibrate_on_dataset(
        self,
        model: str,
        dataset: str,
        *,
        method: ObserverMethod = ObserverMethod.MIN_MAX,
        averaging_constant: float = 0.1,
        percentile: float = 99.99,
        bases: Sequence[str] = (),
        preprocessing: Preprocessing | None = None,
        validate_only: bool = False,
    ) -> optimization_pb.Calibration:
        """Calibrates on a stored dataset; the options are calibrate's.

        Images need a preprocessing.

        Raises: RemoteError.
        """
        config = CalibrationConfig(method, averaging_constant, percentile)
        header = requests.calibrate_header(
            model,
            config,
            dataset=dataset,
            bases=bases,
            preprocessing=preprocessing,
            validate_only=validate_only,
        )
        return self._caller.send(self._optimization.Calibrate, [header])

    def train_qat(
        self,
        model: str,
        *,
        calibration: str,
        dataset: str,
        evaluation_dataset: str = "",
        config: QATConfig | None = None,
        precision: PrecisionConfig | None = None,
        preprocessing: Preprocessing | None = None,
        augmentation: Augmentation | None = None,
        validate_only: bool = False,
    ) -> jobs_pb.Job:
        """Starts quantization-aware training and returns the job.

        Datasets of images need a preprocessing, and may be augmented.

        Raises: RemoteError.
        """
        request = requests.train_qat_request(
            model,
            calibration=calibration,
            dataset=dataset,
            evaluation_dataset=evaluation_dataset,
            config=config or QATConfig(),
            precision=precision,
            preprocessing=preprocessing,
            augmentation=augmentation,
            validate_only=validate_only,
        )
        return self._caller.unary(self._optimization.TrainQAT, request)

    def convert(
        self,
        model: str,
        *,
        calibration: str = "",
        train_job: str = "",
        evaluation_dataset: str = "",
        precision: PrecisionConfig | None = None,
        config: ConversionConfig | None = None,
        calibration_dataset: str = "",
        preprocessing: Preprocessing | None = None,
        wait_s: float = 0.0,
        validate_only: bool = False,
    ) -> jobs_pb.Job:
        """Starts a conversion and returns the job as it is after wait_s seconds.

        Args:
            model: The model.
            calibration: Ranges for post-training quantization.
            train_job: A TrainQAT job that has succeeded, instead of calibration.
            evaluation_dataset: Labelled data to report accuracies on.
            precision: Bits of each layer's weights; a train_job has its own.
            config: What is done to the weights of a calibrated model first, what the program must
                keep of the float model on evaluation_dataset, or the job fails with
                ACCURACY_GATE_FAILED, and what is measured for get_report; nothing by default.
            calibration_dataset: Samples for post-training, best those of the calibration.
            preprocessing: How images become the model's input, for infer_images; that of the
                training job by default.
            wait_s: How long the server waits for the end before it answers, 0 to 600 seconds.
            validate_only: Whether to check and answer with a plan only.

        Raises: InvalidConfigError for two sources; RemoteError, for none too unless the model was
            uploaded quantized.
        """
        request = requests.convert_request(
            model,
            calibration=calibration,
            train_job=train_job,
            evaluation_dataset=evaluation_dataset,
            precision=precision,
            config=config or ConversionConfig(),
            calibration_dataset=calibration_dataset,
            preprocessing=preprocessing,
            wait_s=wait_s,
            validate_only=validate_only,
        )
        return self._caller.unary(
            self._optimization.Convert, request, timeout_s=wait_s + self._caller.timeout_s
        )

    def infer(
        self,
        model: str,
        inputs: Batch,
        *,
        version: int | str | None = None,
        output_names: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> InferResult:
        """Runs a model's version, the newest by default, on one array or on arrays by input name.

        An alias takes the place of a version: `infer("digits", images, version="production")`.

        Raises: InvalidTensorError for arrays that cannot be sent; RemoteError.
        """
        request = requests.infer_request(version_name(model, version), inputs, output_names)
        return decode_result(
            self._caller.unary(self._inference.Infer, request, timeout_s=timeout_s)
        )

    def infer_images(
        self,
        model: str,
        images: Sequence[bytes] | NDArray[np.uint8],
        *,
        version: int | str | None = None,
        output_names: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> InferResult:
        """Runs a version that records its preprocessing on images as they are.

        Args:
            model: The model.
            images: JPEG or PNG files as bytes, or pixels [N, height, width, 1 or 3].
            version: The version or an alias, the newest by default.
            output_names: Outputs to return, all by default.
            timeout_s: Deadline in seconds; that of the client by default.

        Raises: InvalidTensorError for images that cannot be sent; RemoteError.
        """
        name = version_name(model, version)
        request = requests.infer_images_request(name, images, output_names)
        return decode_result(
            self._caller.unary(self._inference.Infer, request, timeout_s=timeout_s)
        )

    def get_job(self, job: str) -> jobs_pb.Job:
        """Returns a job as it is now."""
        return self._caller.unary(self._jobs.GetJob, jobs_pb.GetJobRequest(name=job_name(job)))

    def list_jobs(self) -> Iterator[jobs_pb.Job]:
        """Yields all jobs, newest first."""
        for page in pages(self._caller, self._jobs.ListJobs, jobs_pb.ListJobsRequest()):
            yield from page.jobs

    def watch_job(self, job: str, *, after_sequence: int = 0) -> Iterator[jobs_pb.JobEvent]:
        """Yields each event after after_sequence once, past ones first, until the job has ended.

        Survives broken connections and a restart of the server.
        """
        watch = JobWatch(self._caller, self._jobs, job_name(job))
        return watch.events(after_sequence, self._patience())

    def wait_job(self, job: str) -> jobs_pb.Job:
        """Returns the job when it has succeeded.

        Raises: JobFailedError if it fails, is cancelled or interrupted; RemoteError.
        """
        for _ in self.watch_job(job):
            pass
        ended = self.get_job(job)
        if ended.state != jobs_pb.JOB_STATE_SUCCEEDED:
            raise JobFailedError(ended)
        return ended

    def cancel_job(self, job: str, *, save_checkpoint: bool = False) -> jobs_pb.Job:
        """Asks a job to stop and returns it as it is then.

        With save_checkpoint a training can be resumed.
        """
        request = jobs_pb.CancelJobRequest(
            name=job_name(job), request_id=new_request_id(), save_checkpoint=save_checkpoint
        )
        return self._caller.unary(self._jobs.CancelJob, request)

    def resume_job(self, job: str) -> jobs_pb.Job:
        """Lets an interrupted training go on and returns the job. Raises: RemoteError."""
        request = jobs_pb.ResumeJobRequest(name=job_name(job), request_id=new_request_id())
        return self._caller.unary(self._jobs.ResumeJob, request)

    def delete_job(self, job: str) -> None:
        """Deletes a job that has ended, with what it trained. Raises: RemoteError."""
        request = jobs_pb.DeleteJobRequest(name=job_name(job), request_id=new_request_id())
        self._caller.unary(self._jobs.DeleteJob, request)

    def get_model(self, model: str) -> models_pb.Model:
        """Returns a model."""
        request = models_pb.GetModelRequest(name=model_name(model))
        return self._caller.unary(self._models.GetModel, request)

    def list_models(self) -> Iterator[models_pb.Model]:
        """Yields all models, newest first."""
        request = models_pb.ListModelsRequest()
        for page in pages(self._caller, self._models.ListModels, request):
            yield from page.models

    def delete_model(self, model: str, *, validate_only: bool = False) -> None:
        """Deletes a model with its versions and calibrations."""
        request = models_pb.DeleteModelRequest(
            name=model_name(model), request_id=new_request_id(), validate_only=validate_only
        )
        self._caller.unary(self._models.DeleteModel, request)

    def get_version(self, model: str, version: int | str | None = None) -> models_pb.ModelVersion:
        """Returns a version of a model, by number or alias, the newest by default."""
        name = version_name(model, version)
        if "/versions/" not in name and "/aliases/" not in name:
            name = self.get_model(model).latest_version
            if not name:
                raise RemoteError(
                    f"{model_name(model)} has no converted version; calibrate and convert it first",
                    code="FAILED_PRECONDITION",
                    reason="MODEL_NOT_CONVERTED",
                    metadata={"name": model_name(model)},
                )
        request = models_pb.GetModelVersionRequest(name=name)
        return self._caller.unary(self._models.GetModelVersion, request)

    def get_report(self, job: str, *, histograms: bool = False) -> reports_pb.Report:
        """Returns what a job brought, layer by layer; with histograms of activations if asked.

        `smidgen.client.report_documents.report_document` makes of it what
        `smidgen.html_report.render` shows.
        """
        request = reports_pb.GetReportRequest(name=job_name(job), include_histograms=histograms)
        return self._caller.unary(self._reports.GetReport, request)

    def list_versions(self, model: str) -> Iterator[models_pb.ModelVersion]:
        """Yields a model's versions, newest first."""
        request = models_pb.ListModelVersionsRequest(parent=model_name(model))
        for page in pages(self._caller, self._models.ListModelVersions, request):
            yield from page.model_versions

    def set_alias(
        self,
        model: str,
        alias: str,
        version: int | str,
        *,
        expected_version: int | None = None,
        etag: str = "",
        max_drop: float | None = None,
        validate_only: bool = False,
    ) -> models_pb.Alias:
        """Makes an alias, or moves it from where it is expected, and returns it.

        Args:
            model: The model.
            alias: The alias; lower-case letters, digits and inner hyphens, a letter first.
            version: Where it shall point: a version, or another alias of the model.
            expected_version: The version that it points at now. An alias that there is already
                stays where it is without this or etag.
            etag: What the alias showed when it was read, instead.
            max_drop: Most accuracy that the version may lose by its report, 0 to 1.
            validate_only: Whether to check only, and return the alias as it would be.

        Raises: RemoteError, with reason ALIAS_MOVED if it is somewhere else.
        """
        return self._caller.unary(
            self._models.SetAlias,
            requests.set_alias_request(
                alias_name(model, alias),
                version_name(model, version),
                expected_version=_expected(model, expected_version),
                etag=etag,
                max_drop=max_drop,
                validate_only=validate_only,
            ),
        )

    def rollback_alias(
        self,
        model: str,
        alias: str,
        *,
        expected_version: int | None = None,
        etag: str = "",
        validate_only: bool = False,
    ) -> models_pb.Alias:
        """Undoes the last move of an alias that was not undone yet, and returns the alias.

        Without expected_version and etag it is read first, and moved unless others do meanwhile.

        Raises: RemoteError, with reason ALIAS_MOVED if it is somewhere else.
        """
        if expected_version is None and not etag:
            etag = self.get_alias(model, alias).etag
        request = models_pb.RollbackAliasRequest(
            name=alias_name(model, alias),
            expected_version=_expected(model, expected_version),
            etag=etag,
            request_id=new_request_id(),
            validate_only=validate_only,
        )
        return self._caller.unary(self._models.RollbackAlias, request)

    def get_alias(self, model: str, alias: str) -> models_pb.Alias:
        """Returns an alias with its newest moves."""
        request = models_pb.GetAliasRequest(name=alias_name(model, alias))
        return self._caller.unary(self._models.GetAlias, request)

    def list_aliases(self, model: str) -> Iterator[models_pb.Alias]:
        """Yields a model's aliases, newest first."""
        request = models_pb.ListAliasesRequest(parent=model_name(model))
        for page in pages(self._caller, self._models.ListAliases, request):
            yield from page.aliases

    def delete_alias(
        self,
        model: str,
        alias: str,
        *,
        expected_version: int | None = None,
        etag: str = "",
        validate_only: bool = False,
    ) -> None:
        """Deletes an alias, wherever it points unless something is expected; the version stays."""
        request = models_pb.DeleteAliasRequest(
            name=alias_name(model, alias),
            expected_version=_expected(model, expected_version),
            etag=etag,
            request_id=new_request_id(),
            validate_only=validate_only,
        )
        self._caller.unary(self._models.DeleteAlias, request)

    def get_dataset(self, dataset: str) -> datasets_pb.Dataset:
        """Returns a dataset."""
        request = datasets_pb.GetDatasetRequest(name=dataset_name(dataset))
        return self._caller.unary(self._datasets.GetDataset, request)

    def list_datasets(self) -> Iterator[datasets_pb.Dataset]:
        """Yields all datasets, newest first."""
        request = datasets_pb.ListDatasetsRequest()
        for page in pages(self._caller, self._datasets.ListDatasets, request):
            yield from page.datasets

    def delete_dataset(self, dataset: str, *, validate_only: bool = False) -> None:
        """Deletes a dataset."""
        request = datasets_pb.DeleteDatasetRequest(
            name=dataset_name(dataset), request_id=new_request_id(), validate_only=validate_only
        )
        self._caller.unary(self._datasets.DeleteDataset, request)

    def get_calibration(
        self, calibration: str, *, histograms: bool = False
    ) -> optimization_pb.Calibration:
        """Returns a calibration, with the histogram of each activation if asked."""
        request = optimization_pb.GetCalibrationRequest(
            name=calibration_name(calibration), include_histograms=histograms
        )
        return self._caller.unary(self._optimization.GetCalibration, request)

    def list_calibrations(self) -> Iterator[optimization_pb.Calibration]:
        """Yields all calibrations, newest first."""
        request = optimization_pb.ListCalibrationsRequest()
        for page in pages(self._caller, self._optimization.ListCalibrations, request):
            yield from page.calibrations

    def _patience(self) -> Patience:
        return Patience(self._patience_s)


def _expected(model: str, version: int | None) -> str:
    return "" if version is None else version_name(model, version)
