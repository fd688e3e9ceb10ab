"""The line between the control process and a front: frames in both directions, in order."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, Self

from smidgen.errors import SmidgenError
from smidgen_service.jobs import frames
from smidgen_service.jobs.failures import error_of, failure_of, failure_of_frame
from smidgen_service.jobs.frames import Frame

ANSWER, ERROR = "answer", "error"


class Link:
    """One end of the line. What is sent first arrives first."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def over(cls, connection: socket.socket) -> Self:
        """Returns the end that a connected socket is."""
        return cls(*await asyncio.open_unix_connection(sock=connection))

    def send(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> None:
        """Sends a frame; where nobody is there any more, it is lost."""
        self._writer.write(frames.encode(kind, fields, len(payload)))
        self._writer.write(payload)

    async def receive(self) -> Frame | None:
        """Returns the next frame; None once the other end is gone."""
        return await frames.read(self._reader)

    def close(self) -> None:
        """Ends the line, after what was sent."""
        self._writer.close()


def error_fields(error: SmidgenError) -> dict[str, Any]:
    """Returns an error as plain values."""
    retry_after_s = getattr(error, "retry_after_s", None)
    return {**asdict(failure_of(error)), "retry_after_s": retry_after_s}


def error_from(fields: Mapping[str, Any]) -> SmidgenError:
    """Returns the error that error_fields was given."""
    error = error_of(failure_of_frame(fields))
    if fields["retry_after_s"] is not None:
        vars(error)["retry_after_s"] = float(fields["retry_after_s"])
    return error
