"""The pipes between a worker process and the server."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import Frame


class Channel:
    """The two pipes to the server."""

    def __init__(self, commands: BinaryIO, answers: BinaryIO) -> None:
        self._commands = commands
        self._answers = answers
        self._sending = threading.Lock()

    def send(self, kind: str, fields: Mapping[str, Any], payload: bytes = b"") -> None:
        """Sends a frame."""
        with self._sending:
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

    @contextmanager
    def alive(self, interval_s: float) -> Iterator[None]:
        """Tells the server now and then, from a thread, that this process has not been stopped."""
        is_over = threading.Event()

        def report() -> None:
            while not is_over.wait(interval_s):
                self.send("alive", {})

        reporter = threading.Thread(target=report, name="alive", daemon=True)
        reporter.start()
        try:
            yield
        finally:
            is_over.set()
            reporter.join()
