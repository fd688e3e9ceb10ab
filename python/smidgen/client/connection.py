"""The connection of a client, and what all its calls share."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import grpc

from smidgen.client.access import call_metadata
from smidgen.client.calls import Caller
from smidgen.client.channel import DEFAULT_TARGET, open_channel
from smidgen.client.health import wait_until_serving
from smidgen.client.patience import Patience
from smidgen.v1.dataset_service_pb2_grpc import DatasetServiceStub
from smidgen.v1.inference_service_pb2_grpc import InferenceServiceStub
from smidgen.v1.job_service_pb2_grpc import JobServiceStub
from smidgen.v1.model_service_pb2_grpc import ModelServiceStub
from smidgen.v1.optimization_service_pb2_grpc import OptimizationServiceStub
from smidgen.v1.report_service_pb2_grpc import ReportServiceStub


class Connection:
    """Holds the connection of a client; see Client for the arguments."""

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
        tls_name: str | None = None,
    ) -> None:
        self.target = target
        self._patience_s = patience_s
        metadata = call_metadata(target, token, is_encrypted=credentials is not None)
        self._caller = Caller(target, timeout_s, stream_timeout_s, metadata, waits_for_server)
        self._channel = open_channel(target, credentials, tls_name)
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

    def _patience(self) -> Patience:
        return Patience(self._patience_s)
