"""Times, digests of requests, and other single values."""

from __future__ import annotations

import hashlib

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from smidgen_service import names
from smidgen_service.store.idempotency import RequestKey


def timestamp(time_us: int) -> Timestamp:
    """Returns microseconds since 1970 as a Timestamp."""
    message = Timestamp()
    message.FromMicroseconds(time_us)
    return message


def duration(seconds: float) -> Duration:
    """Returns seconds, none or more, as a Duration, to the nanosecond."""
    message = Duration()
    fill_duration(message, seconds)
    return message


def fill_duration(message: Duration, seconds: float) -> None:
    """Makes a Duration that of seconds, none or more, to the nanosecond."""
    message.seconds, message.nanos = divmod(round(seconds * 1e9), 1_000_000_000)


def body_sha256(message: Message) -> str:
    """Returns the digest by which repeated requests are known."""
    return hashlib.sha256(message.SerializeToString(deterministic=True)).hexdigest()


def request_key(method: str, message: Message, request_id: str) -> RequestKey | None:
    """Returns what makes two calls the same one; None without a request id.

    Raises:
        InvalidArgumentError: the id is not a UUID.
    """
    checked = names.check_request_id(request_id)
    return RequestKey(method, checked, body_sha256(message)) if checked is not None else None
