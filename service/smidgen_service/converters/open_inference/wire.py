"""Large values at the edge of a message: taken out and put in without protobuf copying them.

A field of bytes is its key, its length and the bytes. So the raw contents of a request can be views
of the received bytes, and an answer is what protobuf makes of the rest, followed by the fields of
its raw contents.
"""

from __future__ import annotations

from collections.abc import Sequence

from smidgen_service.errors import InvalidArgumentError, TooLargeError
from smidgen_service.wire import BYTES, MOST_FIELDS, encoded, fields, only_field

MOST_HEAD_BYTES = 4 << 20
"""Bytes of a request beside its raw contents: what protobuf parses, value by value."""
_RAW_INPUT_CONTENTS_KEY = 7 << 3 | BYTES
_RAW_OUTPUT_CONTENTS_TAG = encoded(6 << 3 | BYTES)
_INFER_RESPONSE_TAG = encoded(2 << 3 | BYTES)


def split_raw_contents(message: bytes) -> tuple[bytes, list[memoryview]]:
    """Returns a ModelInferRequest without its raw_input_contents, and these as views.

    Raises:
        InvalidArgumentError: the bytes are no message, or one of too many fields.
        TooLargeError: what is left is too large to be parsed value by value.
    """
    view = memoryview(message)
    kept: list[memoryview] = []
    contents: list[memoryview] = []
    start = 0
    for count, (key, key_start, value_start, end) in enumerate(fields(message)):
        if count == MOST_FIELDS:
            raise _too_many_fields()
        if key == _RAW_INPUT_CONTENTS_KEY:
            kept.append(view[start:key_start])
            contents.append(view[value_start:end])
            start = end
    kept.append(view[start:])
    head_bytes = sum(map(len, kept))
    if head_bytes > MOST_HEAD_BYTES:
        raise TooLargeError(
            f"the request has {head_bytes} bytes beside raw_input_contents, expected at most "
            f"{MOST_HEAD_BYTES}; send large tensors in raw_input_contents",
            reason="CONTENTS_TOO_LARGE",
            found=head_bytes,
            most=MOST_HEAD_BYTES,
        )
    return b"".join(kept), contents


def only_raw_contents(message: bytes) -> tuple[int, int] | None:
    """Returns where the raw_input_contents of a ModelInferRequest begin and end, if it has one.

    Raises:
        InvalidArgumentError: the bytes are no message.
    """
    return only_field(message, _RAW_INPUT_CONTENTS_KEY)


def join_raw_contents(
    heads: Sequence[bytes], contents: Sequence[bytes | memoryview], *, is_in_stream: bool
) -> bytes:
    """Returns a ModelInferResponse with raw_output_contents, or the one of a stream that holds it.

    Args:
        heads: The response without them, in pieces.
        contents: The raw contents.
        is_in_stream: Whether it becomes the infer_response of a ModelStreamInferResponse.
    """
    pieces: list[bytes | memoryview] = [*heads]
    for content in contents:
        pieces += (_RAW_OUTPUT_CONTENTS_TAG, encoded(len(content)), content)
    if is_in_stream:
        size = sum(map(len, pieces))
        pieces[:0] = (_INFER_RESPONSE_TAG, encoded(size))
    return b"".join(pieces)


def _too_many_fields() -> InvalidArgumentError:
    return InvalidArgumentError(
        f"the request has more than {MOST_FIELDS} fields, which no model needs; send fewer "
        "inputs, outputs and parameters",
        field="",
        reason="TOO_MANY_TENSORS",
    )
