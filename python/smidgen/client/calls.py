"""Makes calls: gives each its deadline and turns what grpc raises into the client's errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Generic, Protocol, TypeVar

import grpc

from smidgen.client.errors import RemoteError, remote_error

Request = TypeVar("Request")
Response = TypeVar("Response")

# A server that stops cancels calls that it has not looked at yet.
_ABSENT = {"SERVER_UNREACHABLE", "SERVER_STARTING", "SERVER_DRAINING", "CANCELLED"}
_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Caller:
    """Calls one server.

    Attributes:
        target: `host:port`, for messages.
        timeout_s: Deadline of unary calls in seconds.
        stream_timeout_s: Deadline of calls that stream, in seconds.
        metadata: Sent with every call.
        waits_for_server: Whether unary calls go on until their deadline while no server serves.
        closed: Set when the client ends its calls.
    """

    target: str
    timeout_s: float
    stream_timeout_s: float
    metadata: tuple[tuple[str, str], ...] = ()
    waits_for_server: bool = False
    closed: threading.Event = field(default_factory=threading.Event)

    def unary(
        self,
        method: grpc.UnaryUnaryMultiCallable[Request, Response],
        request: Request,
        *,
        timeout_s: float | None = None,
    ) -> Response:
        """Sends one message and returns the answer. Raises: RemoteError."""
        left_s = self.timeout_s if timeout_s is None else timeout_s
        ends_s = time.monotonic() + left_s
        while True:
            try:
                return method(
                    request,
                    timeout=left_s,
                    metadata=self.metadata,
                    wait_for_ready=self.waits_for_server or None,
                )
            except grpc.RpcError as error:
                found = remote_error(error, self.target)
            pause_s = found.retry_after_s or _PAUSE_S
            left_s = ends_s - time.monotonic() - pause_s
            is_worth_it = self.waits_for_server and found.reason in _ABSENT and left_s > 0
            # grpc's own retries are few, and a restart may take longer than they do.
            if not is_worth_it or self.closed.wait(pause_s):
                raise found

    def send(
        self,
        method: grpc.StreamUnaryMultiCallable[Request, Response],
        requests: Iterable[Request],
    ) -> Response:
        """Streams messages and returns the answer.

        Raises: RemoteError; and whatever iterating over requests raises, after the call was
        cancelled.
        """
        source = _Source(requests)
        call = method.future(source, timeout=self.stream_timeout_s, metadata=self.metadata)
        source.attach(call)
        try:
            return call.result()
        except grpc.FutureCancelledError:
            raise source.error or RemoteError(
                "The call was cancelled because the client was closed.", code="CANCELLED"
            ) from None
        except grpc.RpcError as error:
            if source.error is not None:
                raise source.error from None
            raise remote_error(error, self.target) from None
        finally:
            call.cancel()

    def receive(
        self, method: grpc.UnaryStreamMultiCallable[Request, Response], request: Request
    ) -> Iterator[Response]:
        """Sends one message and yields the answers; leaving early cancels the call.

        Raises: RemoteError.
        """
        call = method(request, timeout=self.stream_timeout_s, metadata=self.metadata)
        try:
            yield from call
        except grpc.RpcError as error:
            raise remote_error(error, self.target) from None
        finally:
            call.cancel()


class _Cancellable(Protocol):
    def cancel(self) -> object: ...


class _Source(Generic[Request]):
    """Feeds a call and keeps the user's exception.

    grpc logs an exception from a request iterator and reports a bare UNKNOWN. So the exception is
    kept here, the call cancelled, and only then the stream ended, lest the server take the part for
    the whole.
    """

    def __init__(self, requests: Iterable[Request]) -> None:
        self.error: BaseException | None = None
        self._requests = iter(requests)
        self._call: _Cancellable | None = None
        self._attached = threading.Event()

    def attach(self, call: _Cancellable) -> None:
        self._call = call
        self._attached.set()

    def __iter__(self) -> _Source[Request]:
        return self

    def __next__(self) -> Request:
        try:
            return next(self._requests)
        except StopIteration:
            raise
        except BaseException as error:  # it is raised again in the caller's thread
            self.error = error
            self._attached.wait()
            assert self._call is not None
            self._call.cancel()
            raise StopIteration from None
