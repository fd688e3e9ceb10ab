"""Frames between server and worker."""

from __future__ import annotations

import asyncio
import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen_service.jobs import frames
from smidgen_service.jobs.frames import FrameError

JSON = st.dictionaries(
    st.text().filter(lambda key: key != "kind"),
    st.none() | st.booleans() | st.integers() | st.text() | st.lists(st.floats(allow_nan=False)),
)


@settings(max_examples=50)
@given(st.text(), JSON, st.binary())
def test_frames_come_back(kind: str, fields: dict[str, object], payload: bytes) -> None:
    stream = io.BytesIO()
    frames.write_blocking(stream, kind, fields, payload)
    frames.write_blocking(stream, "next", {})
    stream.seek(0)
    frame = frames.read_blocking(stream)
    assert frame is not None
    assert (frame.kind, frame.payload) == (kind, payload)
    assert {key: frame.fields[key] for key in fields} == fields
    following = frames.read_blocking(stream)
    assert following is not None
    assert following.kind == "next"
    assert frames.read_blocking(stream) is None


@settings(max_examples=50)
@given(st.integers(0, 40))
async def test_cut_off_stream_ends(length: int) -> None:
    whole = frames.encode("kind", {"a": 1}, 10) + b"x" * 10
    reader = asyncio.StreamReader()
    reader.feed_data(whole[: min(length, len(whole) - 1)])
    reader.feed_eof()
    assert await frames.read(reader) is None
    assert frames.read_blocking(io.BytesIO(whole[: min(length, len(whole) - 1)])) is None


@pytest.mark.parametrize("header", [b"[]", b"{}", b"\xff", b"{", b"null"])
def test_other_headers_are_refused(header: bytes) -> None:
    stream = io.BytesIO(struct.pack("<IQ", len(header), 0) + header)
    with pytest.raises(FrameError):
        frames.read_blocking(stream)


def test_absurd_lengths_are_refused_unread() -> None:
    with pytest.raises(FrameError):
        frames.read_blocking(io.BytesIO(struct.pack("<IQ", 2, 1 << 60)))
