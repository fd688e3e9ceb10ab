"""Calls a Smidgen server. Needs no torch."""

from smidgen.client.access import Access, AccessError
from smidgen.client.client import Client
from smidgen.client.errors import (
    DeadlineExceededError,
    JobFailedError,
    RemoteError,
    UnavailableError,
)
from smidgen.client.results import InferResult

__all__ = [
    "Access",
    "AccessError",
    "Client",
    "DeadlineExceededError",
    "InferResult",
    "JobFailedError",
    "RemoteError",
    "UnavailableError",
]
