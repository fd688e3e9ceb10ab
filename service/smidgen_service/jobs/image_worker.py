"""The task of decoding images for Infer, one request after the other. Imports no torch."""

from __future__ import annotations

import os
import resource
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from smidgen.config import Extent, Preprocessing
from smidgen.data.serving import decode_samples
from smidgen.errors import SmidgenError
from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import Frame

_MEMORY_BYTES = 3 << 30


def serve_images(commands: BinaryIO, answers: BinaryIO) -> None:
    """Answers `images` frames with `samples` or `error` frames until the server closes the pipe.

    Beyond its memory the process ends without an answer.
    """
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY_BYTES, _MEMORY_BYTES))
    while (frame := frames.read_blocking(commands)) is not None:
        try:
            payload = _samples(frame)
        except MemoryError:
            os._exit(1)
        except SmidgenError as error:
            frames.write_blocking(answers, "error", error_fields(error))
        else:
            frames.write_blocking(answers, "samples", {}, payload)


def error_fields(error: SmidgenError) -> Mapping[str, Any]:
    """Returns an error as plain values."""
    return {
        "error_type": type(error).__name__,
        "reason": error.reason,
        "message": error.message,
        "metadata": error.metadata,
    }


def _samples(frame: Frame) -> bytes:
    """Returns the samples of a request as float32, one after the other."""
    preprocessing = Preprocessing.from_document(frame.fields["preprocessing"])
    extent = Extent(*frame.fields["extent"])
    return decode_samples(list(_images(frame)), preprocessing, extent).tobytes()


def _images(frame: Frame) -> Iterator[bytes]:
    start = 0
    for size in frame.fields["sizes"]:
        yield frame.payload[start : start + size]
        start += size
