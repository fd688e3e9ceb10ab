"""Calls a Smidgen server. Needs no torch."""

from smidgen.client.client import Client
from smidgen.client.errors import (
    DeadlineExceededError,
    JobFailedError,
    RemoteError,
    UnavailableError,
)
from smidgen.client.results import InferResult

__all__ = [
    "Client",
    "DeadlineExceededError",
    "InferResult",
    "JobFailedError",
    "RemoteError",
    "UnavailableError",
]
