"""Times, digests of requests, and other single values."""

from __future__ import annotations

import hashlib

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from smidgen_service import names
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.wire import encoded, with_size


def timestamp(time_us: int) -> Timestamp:
    """Returns microseconds since 1970 as a Timestamp."""
    message = Timestamp()
    message.FromMicroseconds(time_us)
    return message


def duration(seconds: float) -> Duration:
    """Returns seconds, none or more, as a Duration, to the nanosecond."""
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return Duration(seconds=whole, nanos=nanos)


def encoded_duration(seconds: float) -> bytes:
    """Returns the bytes of that Duration, its length before them, made faster than the message."""
    whole, nanos = divmod(round(seconds * 1e9), 1_000_000_000)
    return with_size(b"\x08" + encoded(whole) + b"\x10" + encoded(nanos))


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
