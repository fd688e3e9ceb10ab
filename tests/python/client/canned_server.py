"""A real gRPC server with canned answers, and with faults to order."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NoReturn

import grpc
import numpy as np
from google.protobuf import any_pb2, duration_pb2, empty_pb2
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from smidgen.v1 import dataset_service_pb2 as datasets_pb
from smidgen.v1 import dataset_service_pb2_grpc as datasets_grpc
from smidgen.v1 import error_pb2, report_pb2, tensor_pb2, upload_pb2
from smidgen.v1 import inference_service_pb2 as inference_pb
from smidgen.v1 import inference_service_pb2_grpc as inference_grpc
from smidgen.v1 import job_service_pb2 as jobs_pb
from smidgen.v1 import job_service_pb2_grpc as jobs_grpc
from smidgen.v1 import model_service_pb2 as models_pb
from smidgen.v1 import model_service_pb2_grpc as models_grpc
from smidgen.v1 import optimization_service_pb2 as optimization_pb
from smidgen.v1 import optimization_service_pb2_grpc as optimization_grpc
from smidgen.v1 import report_service_pb2 as reports_pb
from smidgen.v1 import report_service_pb2_grpc as reports_grpc

ARTIFACT = np.random.default_rng(0).integers(0, 256, 300_000, dtype=np.uint8).tobytes()
PIECE_BYTES = 64 * 1024


@dataclass
class State:
    """What the server holds, what it saw, and which faults it was asked for."""

    uploads: dict[str, bytearray] = field(default_factory=dict)
    headers: list[models_pb.UploadModelHeader | datasets_pb.UploadDatasetHeader] = field(
        default_factory=list
    )
    offsets: list[int] = field(default_factory=list)
    models: dict[str, models_pb.Model] = field(default_factory=dict)
    versions: dict[str, models_pb.ModelVersion] = field(default_factory=dict)
    aliases: dict[str, models_pb.Alias] = field(default_factory=dict)
    datasets: dict[str, datasets_pb.Dataset] = field(default_factory=dict)
    calibrations: dict[str, optimization_pb.Calibration] = field(default_factory=dict)
    calibrate_headers: list[optimization_pb.CalibrateHeader] = field(default_factory=list)
    batches: list[optimization_pb.CalibrationBatch] = field(default_factory=list)
    jobs: dict[str, jobs_pb.Job] = field(default_factory=dict)
    events: dict[str, list[jobs_pb.JobEvent]] = field(default_factory=dict)
    reports: dict[str, reports_pb.Report] = field(default_factory=dict)
    watched_from: list[int] = field(default_factory=list)
    read_offsets: list[int] = field(default_factory=list)
    break_uploads_after: list[int] = field(default_factory=list)
    break_downloads_after: list[int] = field(default_factory=list)
    break_watches_after: list[int] = field(default_factory=list)
    unavailable_answers: int = 0
    damage_artifact: bool = False
    hold: threading.Event | None = None
    last_request: object = None


def refuse(
    context: grpc.ServicerContext,
    code: grpc.StatusCode,
    message: str,
    *,
    reason: str = "",
    retry_after_s: float = 0.0,
    **metadata: str,
) -> NoReturn:
    details = []
    if reason:
        info = error_details_pb2.ErrorInfo(reason=reason, domain="test", metadata=metadata)
        details.append(info)
    if retry_after_s:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(retry_after_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    status = status_pb2.Status(code=code.value[0], message=message)
    for detail in details:
        packed = any_pb2.Any()
        packed.Pack(detail)
        status.details.append(packed)
    context.abort_with_status(rpc_status.to_status(status))
    raise AssertionError("abort_with_status returned")


def not_found(context: grpc.ServicerContext, name: str) -> NoReturn:
    refuse(
        context,
        grpc.StatusCode.NOT_FOUND,
        f"{name} does not exist",
        reason="NOT_FOUND_HERE",
        name=name,
    )


def refuse_while_starting(state: State, context: grpc.ServicerContext) -> None:
    if state.unavailable_answers:
        state.unavailable_answers -= 1
        refuse(
            context,
            grpc.StatusCode.UNAVAILABLE,
            "starting",
            reason="SERVER_STARTING",
            retry_after_s=0.25,
        )


def take_chunks(state, header, chunks, context) -> bytes:
    """Stores chunks as an upload, breaking off when asked to."""
    state.headers.append(header)
    stored = state.uploads.setdefault(header.request_id, bytearray())
    limit = state.break_uploads_after.pop(0) if state.break_uploads_after else None
    for count, message in enumerate(chunks):
        if count == limit:
            context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")
        state.offsets.append(message.chunk.offset)
        if message.chunk.offset != len(stored):
            refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "offset", reason="UPLOAD_OFFSET")
        stored += message.chunk.data
    if hashlib.sha256(stored).hexdigest() != header.sha256:
        refuse(context, grpc.StatusCode.INVALID_ARGUMENT, "digest", reason="UPLOAD_DIGEST")
    del state.uploads[header.request_id]
    return bytes(stored)


class Models(models_grpc.ModelServiceServicer):
    def __init__(self, state: State) -> None:
        self.state = state

    def UploadModel(self, request_iterator, context):
        header = next(request_iterator).header
        name = f"models/{header.model_id}"
        if name in self.state.models:
            refuse(
                context,
                grpc.StatusCode.ALREADY_EXISTS,
                f"{name} exists; choose another id",
                reason="MODEL_EXISTS",
                name=name,
            )
        data = take_chunks(self.state, header, request_iterator, context)
        model = models_pb.Model(
            name=name,
            display_name=header.display_name,
            format=header.format,
            sha256=header.sha256,
            size_bytes=len(data),
            parameter_count=42,
            inputs=[
                tensor_pb2.TensorSpec(
                    name="image", data_type=tensor_pb2.DATA_TYPE_FLOAT32, shape=[-1, 4]
                )
            ],
        )
        if not header.validate_only:
            self.state.models[name] = model
        return model

    def GetUpload(self, request, context):
        request_id = request.name.removeprefix("uploads/")
        if request_id not in self.state.uploads:
            not_found(context, request.name)
        return upload_pb2.Upload(
            name=request.name, committed_bytes=len(self.state.uploads[request_id])
        )

    def GetModel(self, request, context):
        refuse_while_starting(self.state, context)
        if self.state.hold is not None:
            self.state.hold.wait(30)
        if request.name not in self.state.models:
            not_found(context, request.name)
        return self.state.models[request.name]

    def ListModels(self, request, context):
        names = sorted(self.state.models)
        start = int(request.page_token or 0)
        page = names[start : start + 2]
        return models_pb.ListModelsResponse(
            models=[self.state.models[name] for name in page],
            next_page_token=str(start + 2) if start + 2 < len(names) else "",
        )

    def DeleteModel(self, request, context):
        self.state.last_request = request
        if self.state.models.pop(request.name, None) is None:
            not_found(context, request.name)
        return empty_pb2.Empty()

    def GetModelVersion(self, request, context):
        if request.name not in self.state.versions:
            not_found(context, request.name)
        return self.state.versions[request.name]

    def ListModelVersions(self, request, context):
        found = [v for n, v in self.state.versions.items() if n.startswith(request.parent + "/")]
        return models_pb.ListModelVersionsResponse(model_versions=found)

    def SetAlias(self, request, context):
        self.state.last_request = request
        known = self.state.aliases.get(request.name)
        found, expected = known.etag if known else "", request.etag
        if known and request.expected_version:
            found, expected = known.model_version, request.expected_version
        if found != expected:
            refuse(context, grpc.StatusCode.ABORTED, "it is elsewhere", reason="ALIAS_MOVED")
        return self.move(request.name, request.model_version, is_rollback=False)

    def move(self, name, version, *, is_rollback):
        known = self.state.aliases.get(name, models_pb.Alias())
        move = models_pb.AliasMove(
            model_version=version,
            previous_version=known.model_version,
            is_rollback=is_rollback,
            caller="token-7",
        )
        moves = [move, *known.moves]
        self.state.aliases[name] = models_pb.Alias(
            name=name,
            model_version=version,
            etag=f"etag-{len(moves)}",
            rollback_version=known.model_version,
            moves=moves,
        )
        return self.state.aliases[name]

    def GetAlias(self, request, context):
        if request.name not in self.state.aliases:
            reason = "ALIAS_NOT_FOUND"
            refuse(context, grpc.StatusCode.NOT_FOUND, "there is none", reason=reason)
        return self.state.aliases[request.name]

    def ListAliases(self, request, context):
        self.state.last_request = request
        return models_pb.ListAliasesResponse(aliases=self.state.aliases.values())

    def RollbackAlias(self, request, context):
        self.state.last_request = request
        known = self.state.aliases[request.name]
        return self.move(request.name, known.rollback_version, is_rollback=True)

    def DeleteAlias(self, request, context):
        self.state.last_request = request
        del self.state.aliases[request.name]
        return empty_pb2.Empty()

    def DownloadArtifact(self, request, context):
        version = self.state.versions[request.name]
        self.state.read_offsets.append(request.read_offset)
        limit = self.state.break_downloads_after.pop(0) if self.state.break_downloads_after else -1
        data = bytearray(ARTIFACT)
        if self.state.damage_artifact:
            data[1000] ^= 1
        pieces = range(request.read_offset, len(data), PIECE_BYTES)
        for count, offset in enumerate(pieces):
            if count == limit:
                context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")
            yield models_pb.DownloadArtifactResponse(
                offset=offset,
                data=bytes(data[offset : offset + PIECE_BYTES]),
                total_bytes=len(data),
                sha256=version.sha256,
            )


class Datasets(datasets_grpc.DatasetServiceServicer):
    def __init__(self, state: State) -> None:
        self.state = state

    def UploadDataset(self, request_iterator, context):
        header = next(request_iterator).header
        self._check_free(header.dataset_id, context)
        data = take_chunks(self.state, header, request_iterator, context)
        dataset = datasets_pb.Dataset(
            name=f"datasets/{header.dataset_id}",
            format=header.format,
            sha256=header.sha256,
            size_bytes=len(data),
            sample_count=10,
        )
        self.state.datasets[dataset.name] = dataset
        return dataset

    def CreateDataset(self, request, context):
        self.state.last_request = request
        self._check_free(request.dataset_id, context)
        shards = [
            self.GetDataset(datasets_pb.GetDatasetRequest(name=n), context) for n in request.shards
        ]
        dataset = datasets_pb.Dataset(
            name=f"datasets/{request.dataset_id}",
            format=shards[0].format,
            sample_count=sum(shard.sample_count for shard in shards),
            file_count=len(shards),
        )
        if not request.validate_only:
            self.state.datasets[dataset.name] = dataset
        return dataset

    def _check_free(self, dataset_id, context):
        if f"datasets/{dataset_id}" in self.state.datasets:
            refuse(context, grpc.StatusCode.ALREADY_EXISTS, "taken", reason="DATASET_EXISTS")

    def GetDataset(self, request, context):
        if request.name not in self.state.datasets:
            not_found(context, request.name)
        return self.state.datasets[request.name]

    def ListDatasets(self, request, context):
        return datasets_pb.ListDatasetsResponse(datasets=self.state.datasets.values())

    def DeleteDataset(self, request, context):
        if self.state.datasets.pop(request.name, None) is None:
            not_found(context, request.name)
        return empty_pb2.Empty()


class Optimization(optimization_grpc.OptimizationServiceServicer):
    def __init__(self, state: State) -> None:
        self.state = state

    def Calibrate(self, request_iterator, context):
        header = next(request_iterator).header
        self.state.calibrate_headers.append(header)
        batches = [message.batch for message in request_iterator]
        time.sleep(0.02)  # grpc ends the messages of a call that is cancelled before it says so
        if not context.is_active():
            return optimization_pb.Calibration()
        self.state.batches.extend(batches)
        calibration = optimization_pb.Calibration(
            name=f"calibrations/c{len(self.state.calibrations) + 1}",
            model=header.model,
            method=header.method,
            sample_count=sum(batch.inputs[0].shape[0] for batch in batches),
            batch_count=len(batches),
            base_calibrations=header.base_calibrations,
            ranges=[
                optimization_pb.TensorRange(
                    node="image",
                    min=-1.0,
                    max=1.55,
                    scale=0.01,
                    zero_point=100,
                    clipped_share=0.0125,
                )
            ],
        )
        self.state.calibrations[calibration.name] = calibration
        return calibration

    def GetCalibration(self, request, context):
        if request.name not in self.state.calibrations:
            not_found(context, request.name)
        return self.state.calibrations[request.name]

    def ListCalibrations(self, request, context):
        return optimization_pb.ListCalibrationsResponse(
            calibrations=self.state.calibrations.values()
        )

    def TrainQAT(self, request, context):
        self.state.last_request = request
        if request.validate_only:
            return jobs_pb.Job(kind=jobs_pb.JOB_KIND_TRAIN_QAT, plan=plan())
        return self.state.jobs["jobs/train"]

    def Convert(self, request, context):
        self.state.last_request = request
        if request.validate_only:
            return jobs_pb.Job(kind=jobs_pb.JOB_KIND_CONVERT, plan=plan())
        return self.state.jobs["jobs/convert"]


class Reports(reports_grpc.ReportServiceServicer):
    def __init__(self, state: State) -> None:
        self.state = state

    def GetReport(self, request, context):
        self.state.last_request = request
        if request.name not in self.state.reports:
            not_found(context, request.name)
        return self.state.reports[request.name]


class Jobs(jobs_grpc.JobServiceServicer):
    def __init__(self, state: State) -> None:
        self.state = state

    def GetJob(self, request, context):
        if request.name not in self.state.jobs:
            not_found(context, request.name)
        return self.state.jobs[request.name]

    def ListJobs(self, request, context):
        return jobs_pb.ListJobsResponse(jobs=self.state.jobs.values())

    def WatchJob(self, request, context) -> Iterator[jobs_pb.JobEvent]:
        if request.name not in self.state.jobs:
            not_found(context, request.name)
        self.state.watched_from.append(request.after_sequence)
        limit = self.state.break_watches_after.pop(0) if self.state.break_watches_after else -1
        events = self.state.events[request.name][request.after_sequence :]
        for count, event in enumerate(events):
            if count == limit:
                context.abort(grpc.StatusCode.UNAVAILABLE, "connection lost")
            if self.state.hold is not None and event.stage:
                self.state.hold.wait(30)
            yield event

    def CancelJob(self, request, context):
        self.state.last_request = request
        job = self.state.jobs[request.name]
        if job.state in (jobs_pb.JOB_STATE_SUCCEEDED, jobs_pb.JOB_STATE_FAILED):
            refuse(
                context,
                grpc.StatusCode.FAILED_PRECONDITION,
                f"{job.name} has ended",
                reason="JOB_ENDED",
            )
        saved, gone = jobs_pb.JOB_STATE_INTERRUPTED, jobs_pb.JOB_STATE_CANCELLED
        job.state = saved if request.save_checkpoint else gone
        return job

    def ResumeJob(self, request, context):
        self.state.last_request = request
        job = self.state.jobs[request.name]
        job.state = jobs_pb.JOB_STATE_QUEUED
        return job

    def DeleteJob(self, request, context):
        self.state.last_request = request
        del self.state.jobs[request.name]
        return empty_pb2.Empty()


class Inference(inference_grpc.InferenceServiceServicer):
    """Answers with twice the input."""

    def __init__(self, state: State) -> None:
        self.state = state

    def Infer(self, request, context):
        refuse_while_starting(self.state, context)
        self.state.last_request = request
        (tensor,) = request.inputs
        values = 2 * np.frombuffer(tensor.data, "<f4")
        return inference_pb.InferResponse(
            model_version="models/digits/versions/2",
            outputs=[
                tensor_pb2.Tensor(
                    name="logits",
                    data_type=tensor_pb2.DATA_TYPE_FLOAT32,
                    shape=tensor.shape,
                    data=values.astype("<f4").tobytes(),
                )
            ],
            isa="avx2",
            queue_time=duration_pb2.Duration(nanos=250_000_000),
            compute_time=duration_pb2.Duration(seconds=1),
        )


def plan() -> report_pb2.QuantizationReport:
    return report_pb2.QuantizationReport(
        nodes=[
            report_pb2.NodeReport(node="v0", op="conv2d", is_quantized=True),
            report_pb2.NodeReport(node="v1", op="batch_norm", reason="FOLDED"),
        ],
        float_bytes=4000,
    )


def train_job(state: int = jobs_pb.JOB_STATE_SUCCEEDED) -> jobs_pb.Job:
    job = jobs_pb.Job(
        name="jobs/train",
        kind=jobs_pb.JOB_KIND_TRAIN_QAT,
        state=state,
        progress=1.0,
        model="models/digits",
        last_sequence=6,
    )
    if state == jobs_pb.JOB_STATE_FAILED:
        job.error.CopyFrom(
            error_pb2.JobError(
                code=3, reason="TRAINING_DIVERGED", message="loss is nan", metadata={"step": "7"}
            )
        )
    if state == jobs_pb.JOB_STATE_SUCCEEDED:
        job.train_qat.CopyFrom(
            jobs_pb.TrainQATResult(
                float_accuracy=0.98,
                accuracy=0.975,
                task_loss=0.1,
                quantization_loss=0.02,
                best_epoch=2,
                step_count=40,
            )
        )
    return job


def train_events(final: int = jobs_pb.JOB_STATE_SUCCEEDED) -> list[jobs_pb.JobEvent]:
    running = [
        jobs_pb.JobEvent(
            sequence=sequence,
            state=jobs_pb.JOB_STATE_RUNNING,
            stage=jobs_pb.JOB_STAGE_QAT,
            progress=sequence / 6,
            epoch=1,
            step=sequence,
            total_steps=6,
            task_loss=1.0 / sequence,
            quantization_loss=0.1 / sequence,
            accuracy=0.9 if sequence == 4 else None,
        )
        for sequence in range(2, 6)
    ]
    first = jobs_pb.JobEvent(sequence=1, state=jobs_pb.JOB_STATE_QUEUED)
    last = jobs_pb.JobEvent(sequence=6, state=final, progress=1.0, message="done")
    return [first, *running, last]


def convert_job() -> jobs_pb.Job:
    report = plan()
    report.artifact_bytes = 1000
    report.parity.CopyFrom(
        report_pb2.ParityCertificate(
            sample_count=8,
            max_difference=0,
            isas=["portable", "avx2"],
            differing_bytes=0,
            compared_bytes=4096,
            fake_quantized=report_pb2.FakeQuantizedParity(
                sample_count=4,
                layers=report_pb2.Distance(max_lsb=1, differing=3, elements=2000),
                worst_layer="v2",
                free_running=report_pb2.Distance(max_lsb=5, differing=100, elements=2000),
                top1_agreement=0.75,
            ),
            float_model=report_pb2.FloatParity(
                sample_count=9, top1_agreement=1.0, output_sqnr_db=31.25
            ),
        )
    )
    report.float_accuracy, report.quantized_accuracy = 0.98, 0.97
    return jobs_pb.Job(
        name="jobs/convert",
        kind=jobs_pb.JOB_KIND_CONVERT,
        state=jobs_pb.JOB_STATE_SUCCEEDED,
        progress=1.0,
        model="models/digits",
        convert=jobs_pb.ConvertResult(
            model_version="models/digits/versions/2",
            sha256=hashlib.sha256(ARTIFACT).hexdigest(),
            size_bytes=len(ARTIFACT),
            report=report,
        ),
    )


def fill(state: State) -> None:
    """Puts one of each thing into the state."""
    name = "models/digits"
    state.models[name] = models_pb.Model(
        name=name,
        format=models_pb.MODEL_FORMAT_PT2,
        size_bytes=5,
        parameter_count=42,
        latest_version=f"{name}/versions/2",
        inputs=[
            tensor_pb2.TensorSpec(
                name="image", data_type=tensor_pb2.DATA_TYPE_FLOAT32, shape=[-1, 4]
            )
        ],
    )
    state.versions[f"{name}/versions/2"] = models_pb.ModelVersion(
        name=f"{name}/versions/2",
        sha256=hashlib.sha256(ARTIFACT).hexdigest(),
        size_bytes=len(ARTIFACT),
        inputs=state.models[name].inputs,
    )
    state.jobs["jobs/train"] = train_job()
    state.events["jobs/train"] = train_events()
    state.jobs["jobs/convert"] = convert_job()
    state.events["jobs/convert"] = [
        jobs_pb.JobEvent(sequence=1, state=jobs_pb.JOB_STATE_SUCCEEDED, progress=1.0)
    ]


class CannedServer:
    """Runs the servicers on a real socket."""

    def __init__(self, state: State, port: int = 0) -> None:
        self.state = state
        self.health = health.HealthServicer()
        # With SO_REUSEPORT the kernel may give two servers one port, and a test the wrong answers.
        options = [("grpc.max_receive_message_length", 64 << 20), ("grpc.so_reuseport", 0)]
        self._server = grpc.server(ThreadPoolExecutor(4), options=options)
        models_grpc.add_ModelServiceServicer_to_server(Models(state), self._server)
        datasets_grpc.add_DatasetServiceServicer_to_server(Datasets(state), self._server)
        optimization_grpc.add_OptimizationServiceServicer_to_server(
            Optimization(state), self._server
        )
        jobs_grpc.add_JobServiceServicer_to_server(Jobs(state), self._server)
        reports_grpc.add_ReportServiceServicer_to_server(Reports(state), self._server)
        inference_grpc.add_InferenceServiceServicer_to_server(Inference(state), self._server)
        health_pb2_grpc.add_HealthServicer_to_server(self.health, self._server)
        self.port = self._server.add_insecure_port(f"127.0.0.1:{port}")
        self._server.start()

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.port}"

    def set_serving(self, serving: bool) -> None:
        statuses = health_pb2.HealthCheckResponse
        self.health.set("", statuses.SERVING if serving else statuses.NOT_SERVING)

    def stop(self) -> None:
        self._server.stop(0).wait()
