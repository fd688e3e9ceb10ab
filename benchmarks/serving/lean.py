"""A client of unary calls that takes a small part of the CPU time that grpc's takes in Python.

It shares the machine with the server that it overloads, where whatever it takes is the server's
loss. It sends what any client sends, each call anew, and holds to the server's windows, frames and
number of streams. What is left out is what a measurement does not need: headers are not
compressed, and of the trailers nothing but what is looked for is decoded.
"""

from __future__ import annotations

import asyncio
import struct
import time
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import accumulate
from typing import cast

import grpc

from benchmarks.serving.http2 import (
    ACK,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PREFACE,
    REFUSED_STREAM,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    frame,
    headers,
)

_HEADER_TABLE_SIZE, _MOST_STREAMS, _INITIAL_WINDOW, _FRAME_SIZE = 1, 3, 4, 5
_TRUE_BINARY = 0xFE03  # grpc's own: binary trailers come as they are, not as base64
_MOST_WINDOW = (1 << 31) - 1
_DEFAULT_WINDOW, _DEFAULT_FRAME = 65_535, 16_384
_NUMBER_AT = 5  # of a stream, in the head of a frame
_CODES = {code.value[0]: code for code in grpc.StatusCode}
_STATUS, _PUSHBACK, _RETRY_INFO = b"grpc-status", b"grpc-retry-pushback-ms", b"google.rpc.RetryInfo"


@dataclass(frozen=True, slots=True)
class Reply:
    """How one call ended.

    Attributes:
        seconds: From the call to its end.
        code: Its status.
        is_hinted: Whether the status has RetryInfo and the trailers a pushback.
    """

    seconds: float
    code: grpc.StatusCode
    is_hinted: bool = False


class _Message:
    """A request as it is sent, which need not be made anew for each call.

    Attributes:
        request: The message.
        encoded: It behind its length.
        frame_size: The frames' in `whole`.
    """

    def __init__(self, path_headers: bytes, request: bytes, frame_size: int) -> None:
        self.request = request
        self.frame_size = frame_size
        self.encoded = memoryview(struct.pack(">BI", 0, len(request)) + request)
        parts = [frame(HEADERS, END_HEADERS, 0, path_headers)]
        for start in range(0, len(self.encoded), frame_size):
            end = start + frame_size
            flags = END_STREAM if end >= len(self.encoded) else 0
            parts.append(frame(DATA, flags, 0, bytes(self.encoded[start:end])))
        self._whole = bytearray().join(parts)
        sizes = accumulate((len(part) for part in parts[:-1]), initial=0)
        self._numbers = [start + _NUMBER_AT for start in sizes]

    def whole(self, number: int) -> bytearray:
        """Returns all frames of a call. They are written over by the next call."""
        for start in self._numbers:
            struct.pack_into(">I", self._whole, start, number)
        return self._whole


class _Stream:
    """One call.

    Attributes:
        number: Its stream's.
        message: What is sent.
        window: Bytes that the server takes of it.
        sent: Bytes of the message that are on their way.
    """

    __slots__ = ("message", "number", "reply", "sent", "started_s", "window")

    def __init__(self, message: _Message, reply: asyncio.Future[Reply]) -> None:
        self.number = 0
        self.message = message
        self.reply = reply
        self.started_s = time.perf_counter()
        self.sent = 0
        self.window = 0


class LeanConnection(asyncio.Protocol):
    """One connection, and calls of one method over it.

    Args:
        path: The method's.
    """

    def __init__(self, path: str) -> None:
        self._headers = headers(path)
        self._message: _Message | None = None  # of the latest call
        self._buffer = bytearray()
        self._streams: dict[int, _Stream] = {}
        self._last = -1
        # Calls in the order of their beginning: those without a stream, and those that may send.
        self._unbegun: deque[_Stream] = deque()
        self._unsent: deque[_Stream] = deque()
        self._most_streams = 0  # until the server's settings are there
        self._window = _DEFAULT_WINDOW
        self._stream_window = _DEFAULT_WINDOW
        self._frame_size = _DEFAULT_FRAME

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Says which settings are ours."""
        self._transport = cast(asyncio.Transport, transport)
        settings = {_HEADER_TABLE_SIZE: 0, _INITIAL_WINDOW: _MOST_WINDOW, _TRUE_BINARY: 1}
        payload = b"".join(struct.pack(">HI", *setting) for setting in settings.items())
        more = struct.pack(">I", _MOST_WINDOW - _DEFAULT_WINDOW)
        self._transport.write(
            PREFACE + frame(SETTINGS, 0, 0, payload) + frame(WINDOW_UPDATE, 0, 0, more)
        )

    def connection_lost(self, error: Exception | None) -> None:
        """Ends what has not ended."""
        for stream in [*self._streams.values(), *self._unbegun]:
            self._end(stream, grpc.StatusCode.UNAVAILABLE)

    def call(self, request: bytes) -> asyncio.Future[Reply]:
        """Makes a call with an encoded message."""
        message = self._message
        if message is None or message.request is not request:
            message = self._message = _Message(self._headers, request, self._frame_size)
        stream = _Stream(message, asyncio.get_running_loop().create_future())
        self._unbegun.append(stream)
        self._send()
        return stream.reply

    def close(self) -> None:
        """Closes the connection."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Reads frames."""
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= 9:
            end = start + 9 + int.from_bytes(buffer[start : start + 3], "big")
            if len(buffer) < end:
                break
            number = int.from_bytes(buffer[start + 5 : start + 9], "big")
            self._frame(
                buffer[start + 3], buffer[start + 4], number, bytes(buffer[start + 9 : end])
            )
            start = end
        del buffer[:start]
        self._send()

    def _frame(self, kind: int, flags: int, number: int, payload: bytes) -> None:
        stream = self._streams.get(number)
        if kind == HEADERS and flags & END_STREAM and stream is not None:
            is_hinted = _PUSHBACK in payload and _RETRY_INFO in payload
            self._end(stream, _status(payload), is_hinted=is_hinted)
        elif kind == WINDOW_UPDATE:
            increment = int.from_bytes(payload, "big")
            if number == 0:
                self._window += increment
            elif stream is not None:
                stream.window += increment
        elif kind == SETTINGS and not flags & ACK:
            self._take(payload)
        elif kind == PING and not flags & ACK:
            self._transport.write(frame(PING, ACK, 0, payload))
        elif kind == RST_STREAM and stream is not None:
            if int.from_bytes(payload, "big") == REFUSED_STREAM:
                self._begin_again(stream)
            else:
                self._end(stream, grpc.StatusCode.UNAVAILABLE)
        elif kind == GOAWAY:
            self._transport.close()

    def _begin_again(self, stream: _Stream) -> None:
        """Makes a call anew of which the server has seen nothing, as every client does.

        That of an earlier one has ended, and the server has not put it away yet.
        """
        del self._streams[stream.number]
        if stream in self._unsent:
            self._unsent.remove(stream)
        stream.sent = 0
        self._unbegun.append(stream)

    def _take(self, payload: bytes) -> None:
        """Holds to settings of the server from now on."""
        settings = dict(struct.iter_unpack(">HI", payload))
        self._most_streams = settings.get(_MOST_STREAMS, self._most_streams or _MOST_WINDOW)
        self._frame_size = settings.get(_FRAME_SIZE, self._frame_size)
        window = settings.get(_INITIAL_WINDOW, self._stream_window)
        for stream in self._streams.values():
            stream.window += window - self._stream_window
        self._stream_window = window
        self._transport.write(frame(SETTINGS, ACK, 0, b""))

    def _send(self) -> None:
        """Sends what the server takes."""
        parts: list[bytes | memoryview] = []
        while self._unbegun and len(self._streams) < self._most_streams:
            stream = self._unbegun.popleft()
            self._last += 2
            stream.number, stream.window = self._last, self._stream_window
            self._streams[stream.number] = stream
            if not parts and self._takes_whole(stream):
                self._send_whole(stream)
                continue
            parts.append(frame(HEADERS, END_HEADERS, stream.number, self._headers))
            self._send_message(stream, parts)
            if stream.sent < len(stream.message.encoded):
                self._unsent.append(stream)
        for _ in range(len(self._unsent)):
            stream = self._unsent.popleft()
            if stream.reply.done():
                continue
            self._send_message(stream, parts)
            if stream.sent < len(stream.message.encoded):
                self._unsent.append(stream)
        if parts:
            self._transport.writelines(parts)

    def _takes_whole(self, stream: _Stream) -> bool:
        size = len(stream.message.encoded)
        is_cut_alike = stream.message.frame_size <= self._frame_size
        return is_cut_alike and size <= stream.window and size <= self._window

    def _send_whole(self, stream: _Stream) -> None:
        # What cannot be sent at once is copied by the transport.
        self._transport.write(stream.message.whole(stream.number))
        stream.sent = len(stream.message.encoded)
        stream.window -= stream.sent
        self._window -= stream.sent

    def _send_message(self, stream: _Stream, parts: list[bytes | memoryview]) -> None:
        message = stream.message.encoded
        length = len(message)
        while size := min(length - stream.sent, stream.window, self._window, self._frame_size):
            if size < 0:
                break  # a window that the settings have made smaller
            end = stream.sent + size
            flags = END_STREAM if end == length else 0
            parts.append(struct.pack(">IBI", size << 8 | DATA, flags, stream.number))
            parts.append(message[stream.sent : end])
            stream.sent = end
            stream.window -= size
            self._window -= size

    def _end(self, stream: _Stream, code: grpc.StatusCode, *, is_hinted: bool = False) -> None:
        self._streams.pop(stream.number, None)
        if not stream.reply.done():
            seconds = time.perf_counter() - stream.started_s
            stream.reply.set_result(Reply(seconds, code, is_hinted))


@asynccontextmanager
async def lean_connection(target: str, path: str) -> AsyncIterator[LeanConnection]:
    """Connects to `host:port` for calls of a method."""
    host, _, port = target.rpartition(":")
    loop = asyncio.get_running_loop()
    _, connection = await loop.create_connection(lambda: LeanConnection(path), host, int(port))
    try:
        yield connection
    finally:
        connection.close()


def _status(block: bytes) -> grpc.StatusCode:
    """Returns the status in a block of headers that are literals.

    Raises:
        ValueError: there is none.
    """
    start = block.index(_STATUS) + len(_STATUS)
    length = block[start]
    return _CODES[int(block[start + 1 : start + 1 + length])]
