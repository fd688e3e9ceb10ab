"""The pipes between a worker process and the server."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, BinaryIO

from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import Frame


class Channel:
    """The two pipes to the server."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers

    def send(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> None:
        """Sends a frame."""
        frames.write_blocking(self._answers, kind, fields, payload)

    def receive(self) -> Frame:
        """Returns the next frame.

        Raises:
            EOFError: the server is gone.
        """
        frame = frames.read_blocking(self._commands)
        if frame is None:
            raise EOFError("the server closed the pipe")
        return frame
