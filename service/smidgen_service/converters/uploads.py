"""Chunks of uploads, and how far they have come."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol

from smidgen.v1 import upload_pb2
from smidgen_service import names
from smidgen_service.converters.scalars import timestamp
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.receiving import Chunk
from smidgen_service.store.records import UploadRecord


class UploadPart(Protocol):
    """One message of an upload stream, of a model or a dataset."""

    @property
    def chunk(self) -> upload_pb2.UploadChunk:
        """The chunk."""

    def WhichOneof(self, oneof_group: Any, /) -> str | None:
        """Tells which part is set."""


async def chunks_from_messages(messages: AsyncIterator[UploadPart]) -> AsyncIterator[Chunk]:
    """Yields the chunks that follow a header.

    Raises:
        InvalidArgumentError: a message is something else.
    """
    async for message in messages:
        if message.WhichOneof("part") != "chunk":
            raise out_of_place("chunk")
        yield Chunk(message.chunk.offset, message.chunk.data)


def out_of_place(expected: str) -> InvalidArgumentError:
    """Returns the error for a message of a stream that has another part than the expected one."""
    return InvalidArgumentError(
        f"a message of the stream is not a {expected}; send one header first, "
        "and only the parts after it",
        field="part",
        reason="STREAM_PART_UNEXPECTED",
        expected=expected,
    )


def upload_to_message(upload: UploadRecord) -> upload_pb2.Upload:
    """Returns the state of an upload as a message."""
    return upload_pb2.Upload(
        name=names.upload_name(upload.request_id),
        committed_bytes=upload.committed_bytes,
        total_bytes=upload.total_bytes,
        create_time=timestamp(upload.create_time),
        expire_time=timestamp(upload.expire_time),
    )
