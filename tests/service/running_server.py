"""Starts `python -m smidgen_service` and talks to it through real channels."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from smidgen.v1 import (
    dataset_service_pb2,
    dataset_service_pb2_grpc,
    inference_service_pb2,
    inference_service_pb2_grpc,
    job_service_pb2,
    job_service_pb2_grpc,
    model_service_pb2,
    model_service_pb2_grpc,
    optimization_service_pb2,
    optimization_service_pb2_grpc,
    tensor_pb2,
    upload_pb2,
)

CHUNK = 1 << 16
START_SECONDS = 30.0
FRONTS = int(os.environ.get("SMIDGEN_PROCESSES", "1"))
"""Processes that answer inferences, in servers whose flags do not say how many."""
PROCESSES = FRONTS if FRONTS == 1 else FRONTS + 1
"""Processes that read files again: those, and the one that keeps the store."""
ONE_PROCESS = ("--processes", "1")
"""For tests of limits that processes divide, or that look at the process that was started."""
DTYPES = {
    "float32": tensor_pb2.DATA_TYPE_FLOAT32,
    "uint8": tensor_pb2.DATA_TYPE_UINT8,
    "int64": tensor_pb2.DATA_TYPE_INT64,
    "bool": tensor_pb2.DATA_TYPE_BOOL,
}


class RunningServer:
    """A server process, a channel to it and its stubs."""

    def __init__(
        self,
        process: subprocess.Popen[bytes],
        data_dir: Path,
        log_path: Path,
        credentials: grpc.ChannelCredentials | None = None,
    ) -> None:
        self.process = process
        self.data_dir = data_dir
        self.log_path = log_path
        announced = json.loads((data_dir / "server.json").read_text())
        self.port: int = announced["port"]
        self.metrics_port: int = announced["metrics_port"]
        self.target = f"127.0.0.1:{self.port}"
        options = [("grpc.max_receive_message_length", 64 << 20)]
        self.channel = (
            grpc.insecure_channel(self.target, options)
            if credentials is None
            else grpc.secure_channel(self.target, credentials, options)
        )
        self._make_stubs(self.channel)

    def send_as(self, token: str) -> None:
        """Lets all further calls of the stubs carry a token."""
        self._make_stubs(grpc.intercept_channel(self.channel, _Bearer(token)))

    def _make_stubs(self, channel: grpc.Channel) -> None:
        self.models = model_service_pb2_grpc.ModelServiceStub(channel)
        self.datasets = dataset_service_pb2_grpc.DatasetServiceStub(channel)
        self.optimization = optimization_service_pb2_grpc.OptimizationServiceStub(channel)
        self.jobs = job_service_pb2_grpc.JobServiceStub(channel)
        self.inference = inference_service_pb2_grpc.InferenceServiceStub(channel)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Sends a signal and returns the exit code."""
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise

    def logs(self) -> list[dict[str, Any]]:
        """Returns the log so far."""
        return [json.loads(line) for line in self.log_path.read_text().splitlines()]

    def metrics(self) -> str:
        """Scrapes the metrics."""
        return scraped(self.metrics_port)

    def upload_model(
        self, model_id: str, data: bytes, *, is_artifact: bool = False, **fields: Any
    ) -> model_service_pb2.Model:
        """Uploads a model in chunks."""
        return self.models.UploadModel(
            model_messages(model_header(model_id, data, is_artifact=is_artifact, **fields), data)
        )

    def upload_dataset(
        self, dataset_id: str, data: bytes, **fields: Any
    ) -> dataset_service_pb2.Dataset:
        """Uploads a dataset in chunks."""
        header = dataset_service_pb2.UploadDatasetHeader(
            dataset_id=dataset_id,
            **{
                "format": dataset_service_pb2.DATASET_FORMAT_NPZ,
                "total_bytes": len(data),
                "sha256": sha256(data),
                **fields,
            },
        )
        messages = [dataset_service_pb2.UploadDatasetRequest(header=header)]
        messages += [dataset_service_pb2.UploadDatasetRequest(chunk=c) for c in chunks(data)]
        return self.datasets.UploadDataset(iter(messages))

    def calibrate(
        self, model: str, *batches: np.ndarray, **fields: Any
    ) -> optimization_service_pb2.Calibration:
        """Calibrates with batches."""
        return self.optimization.Calibrate(calibrate_messages(model, *batches, **fields))

    def train(self, model: str, calibration: str, dataset: str, **fields: Any) -> Any:
        """Starts training with a short configuration unless one is given."""
        config = optimization_service_pb2.QATConfig(epochs=1, fine_tune_epochs=0, batch_size=16)
        request = optimization_service_pb2.TrainQATRequest(
            name=model,
            calibration=calibration,
            dataset=dataset,
            **{"config": config, **fields},
        )
        return self.optimization.TrainQAT(request)

    def convert(self, model: str, *, wait_s: int = 120, **fields: Any) -> job_service_pb2.Job:
        """Converts and waits."""
        request = optimization_service_pb2.ConvertRequest(
            name=model, wait=Duration(seconds=wait_s), **fields
        )
        return self.optimization.Convert(request)

    def wait_for(self, job: str) -> job_service_pb2.Job:
        """Watches a job to its end and returns it."""
        for _ in self.jobs.WatchJob(job_service_pb2.WatchJobRequest(name=job), timeout=300):
            pass
        return self.jobs.GetJob(job_service_pb2.GetJobRequest(name=job))

    def infer(self, name: str, *inputs: tensor_pb2.Tensor, **fields: Any) -> Any:
        """Runs one inference."""
        request = inference_service_pb2.InferRequest(name=name, inputs=inputs, **fields)
        return self.inference.Infer(request, timeout=60)

    def leftovers(self) -> list[str]:
        """Returns files of uploads and scratch directories that are still there."""
        files = list((self.data_dir / "uploads").iterdir())
        jobs = self.data_dir / "jobs"
        files += list(jobs.iterdir()) if jobs.exists() else []
        return [path.name for path in files]

    def blobs(self) -> set[str]:
        """Returns the digests of all stored files."""
        root = self.data_dir / "blobs" / "sha256"
        return {path.parent.name + path.name for path in root.glob("*/*")}


class _Bearer(
    grpc.UnaryUnaryClientInterceptor,
    grpc.UnaryStreamClientInterceptor,
    grpc.StreamUnaryClientInterceptor,
    grpc.StreamStreamClientInterceptor,
):
    """Adds a token to calls."""

    def __init__(self, token: str) -> None:
        self._metadata = ("authorization", f"Bearer {token}")

    def _continue(self, continuation: Any, details: Any, request: Any) -> Any:
        metadata = [*(details.metadata or ()), self._metadata]
        return continuation(details._replace(metadata=metadata), request)

    intercept_unary_unary = _continue
    intercept_unary_stream = _continue
    intercept_stream_unary = _continue
    intercept_stream_stream = _continue


EVERY_CALL_LOGGED = ("--log-level", "debug")
"""For tests that look for calls in the log, which by default has ten a second of the usual ones."""


def start_server(
    data_dir: Path,
    *flags: str,
    credentials: grpc.ChannelCredentials | None = None,
    environment: Mapping[str, str] | None = None,
) -> RunningServer:
    """Starts a server on free ports and returns once it serves.

    Args:
        data_dir: Its data directory.
        flags: Of its command.
        credentials: Those of the channel to a server with TLS.
        environment: Its variables; None for those of this process.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    (data_dir / "server.json").unlink(missing_ok=True)
    log_path = data_dir.parent / f"{data_dir.name}.log"
    command = [sys.executable, "-m", "smidgen_service", "--port", "0", "--metrics-port", "0"]
    command += ["--data-dir", str(data_dir), "--worker-threads", "1"]
    command += ["--blob-grace-seconds", "0", *flags]
    with log_path.open("wb") as log_file:
        process = subprocess.Popen(command, stderr=log_file, env=environment)
    deadline = time.monotonic() + START_SECONDS
    while not (data_dir / "server.json").exists():
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            process.wait()
            raise RuntimeError(f"the server did not start:\n{log_path.read_text()}")
        time.sleep(0.02)
    return RunningServer(process, data_dir, log_path, credentials)


def scraped(port: int, accept: str = "", query: str = "") -> str:
    """Returns what a metrics port answers.

    Args:
        port: The port.
        accept: The format that is asked for.
        query: Behind the address.
    """
    url = f"http://127.0.0.1:{port}/metrics" + (f"?{query}" if query else "")
    request = urllib.request.Request(url, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(request, timeout=10) as response:
        return bytes(response.read()).decode()


def sha256(data: bytes) -> str:
    """Returns the digest in hexadecimal."""
    return hashlib.sha256(data).hexdigest()


def chunks(data: bytes, start: int = 0, size: int = CHUNK) -> Iterator[upload_pb2.UploadChunk]:
    """Yields a file from an offset on."""
    for offset in range(start, len(data), size):
        yield upload_pb2.UploadChunk(offset=offset, data=data[offset : offset + size])


def model_header(
    model_id: str, data: bytes, *, is_artifact: bool = False, **fields: Any
) -> model_service_pb2.UploadModelHeader:
    """Returns the header of an upload."""
    model_format = (
        model_service_pb2.MODEL_FORMAT_ARTIFACT
        if is_artifact
        else model_service_pb2.MODEL_FORMAT_PT2
    )
    defaults = {"format": model_format, "total_bytes": len(data), "sha256": sha256(data)}
    return model_service_pb2.UploadModelHeader(model_id=model_id, **{**defaults, **fields})


def model_messages(
    header: model_service_pb2.UploadModelHeader, data: bytes, start: int = 0
) -> Iterator[model_service_pb2.UploadModelRequest]:
    """Yields the messages of an upload."""
    yield model_service_pb2.UploadModelRequest(header=header)
    for chunk in chunks(data, start):
        yield model_service_pb2.UploadModelRequest(chunk=chunk)


def calibrate_messages(
    model: str, *batches: np.ndarray | tensor_pb2.Tensor | list[tensor_pb2.Tensor], **fields: Any
) -> Iterator[optimization_service_pb2.CalibrateRequest]:
    """Yields the messages of a calibration."""
    header = optimization_service_pb2.CalibrateHeader(model=model, **fields)
    yield optimization_service_pb2.CalibrateRequest(header=header)
    for batch in batches:
        if isinstance(batch, list):
            inputs = batch
        else:
            inputs = [tensor(batch) if isinstance(batch, np.ndarray) else batch]
        yield optimization_service_pb2.CalibrateRequest(
            batch=optimization_service_pb2.CalibrationBatch(inputs=inputs)
        )


def tensor(array: np.ndarray, name: str = "", **fields: Any) -> tensor_pb2.Tensor:
    """Returns an array as a message."""
    defaults = {
        "data_type": DTYPES[array.dtype.name],
        "shape": array.shape,
        "data": np.ascontiguousarray(array).tobytes(),
    }
    return tensor_pb2.Tensor(name=name, **{**defaults, **fields})


def array(message: tensor_pb2.Tensor) -> np.ndarray:
    """Returns a message's values."""
    dtype = next(name for name, value in DTYPES.items() if value == message.data_type)
    return np.frombuffer(message.data, dtype).reshape(message.shape)


def details(error: grpc.RpcError) -> dict[type[Message], Any]:
    """Returns the details of an error by type."""
    status = rpc_status.from_call(error)
    assert status is not None
    found = {}
    for wrapper in status.details:
        for kind in (
            error_details_pb2.ErrorInfo,
            error_details_pb2.BadRequest,
            error_details_pb2.ResourceInfo,
            error_details_pb2.PreconditionFailure,
            error_details_pb2.RetryInfo,
            error_details_pb2.RequestInfo,
        ):
            if wrapper.Is(kind.DESCRIPTOR):
                message = kind()
                wrapper.Unpack(message)
                found[kind] = message
    return found


def ending(error: grpc.RpcError) -> tuple[grpc.StatusCode, str]:
    """Returns code and reason of an error."""
    return error.code(), details(error)[error_details_pb2.ErrorInfo].reason


def drain(stream: Iterable[Any]) -> list[Any]:
    """Returns all messages of a stream."""
    return list(stream)
