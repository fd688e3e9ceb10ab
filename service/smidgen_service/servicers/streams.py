"""The header that client streams begin with."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Protocol, TypeVar

from smidgen_service.converters.uploads import out_of_place


class Part(Protocol):
    """A message of a stream that is a header or something else."""

    def WhichOneof(self, oneof_group: Any, /) -> str | None:
        """Tells which part is set."""


PartT = TypeVar("PartT", bound=Part)


async def first_message(messages: AsyncIterator[PartT]) -> PartT:
    """Returns the message with the header.

    Raises:
        InvalidArgumentError: the stream is empty or begins with something else.
    """
    message = await anext(messages, None)
    if message is None or message.WhichOneof("part") != "header":
        raise out_of_place("header")
    return message
