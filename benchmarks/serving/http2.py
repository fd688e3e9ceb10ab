"""A client of HTTP/2 that does what no library would: just enough frames to be a nuisance."""

from __future__ import annotations

import socket
import struct
from types import TracebackType
from typing import Self

DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY, WINDOW_UPDATE = 0, 1, 3, 4, 6, 7, 8
END_STREAM, END_HEADERS = 1, 4
CONTINUATION = 9
ACK = 1
REFUSED_STREAM, CANCEL, ENHANCE_YOUR_CALM = 7, 8, 11
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_MOST_FRAME = 16_384


class Http2:
    """One connection in plain text, from an address of this machine."""

    def __init__(self, port: int, timeout_s: float = 10.0, *, source: str = "127.0.0.1") -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout_s, (source, 0))
        self._buffer = b""
        self._stream = -1
        self._socket.sendall(PREFACE + frame(SETTINGS, 0, 0, b""))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connection."""
        self._socket.close()

    def send(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        """Sends a frame."""
        self._socket.sendall(frame(kind, flags, stream, payload))

    def send_bytes(self, frames: bytes) -> None:
        """Sends frames that are encoded already."""
        self._socket.sendall(frames)

    def begin(self, path: str, *extra: tuple[str, str]) -> int:
        """Opens a stream for a call and returns its number."""
        self._stream += 2
        block = headers(path, *extra)
        parts = [block[n : n + _MOST_FRAME] for n in range(0, len(block), _MOST_FRAME)]
        for number, part in enumerate(parts):
            flags = END_HEADERS if number == len(parts) - 1 else 0
            self.send(CONTINUATION if number else HEADERS, flags, self._stream, part)
        return self._stream

    def acknowledge(self) -> None:
        """Takes the server's settings and holds to them, as far as it knows."""
        self.frames_until(SETTINGS)
        self.send(SETTINGS, ACK, 0, b"")
        self.send(PING, 0, 0, bytes(8))
        self.frames_until(PING)

    def message(self, stream: int, body: bytes, *, is_compressed: bool = False) -> None:
        """Sends a message and ends the client's side of the stream."""
        data = struct.pack(">BI", is_compressed, len(body)) + body
        for start in range(0, len(data), _MOST_FRAME):
            part = data[start : start + _MOST_FRAME]
            is_last = start + _MOST_FRAME >= len(data)
            self.send(DATA, END_STREAM if is_last else 0, stream, part)

    def frames_until(self, wanted: int) -> tuple[int, bytes] | None:
        """Reads frames to the first of a kind; None where the connection ends before.

        Returns: Its stream and payload.
        """
        while True:
            header = self._read(9)
            if header is None:
                return None
            length, kind = int.from_bytes(header[:3], "big"), header[3]
            payload = self._read(length)
            if payload is None:
                return None
            if kind == wanted:
                return int.from_bytes(header[5:9], "big"), payload

    def is_open(self) -> bool:
        """Tells whether the server has not closed the connection, after reading what there is."""
        self._socket.settimeout(0.2)
        try:
            while self._socket.recv(1 << 16):
                pass
        except TimeoutError:
            return True
        except OSError:
            return False
        return False

    def _read(self, count: int) -> bytes | None:
        while len(self._buffer) < count:
            try:
                received = self._socket.recv(1 << 16)
            except ConnectionError:
                return None
            if not received:
                return None
            self._buffer += received
        taken, self._buffer = self._buffer[:count], self._buffer[count:]
        return taken


def frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    """Returns the bytes of a frame."""
    return (
        struct.pack(">I", len(payload))[1:]
        + bytes([kind, flags])
        + struct.pack(">I", stream)
        + payload
    )


def headers(path: str, *extra: tuple[str, str]) -> bytes:
    """Returns the headers of a call, without any compression of them."""
    fields = (
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("content-type", "application/grpc"),
        ("te", "trailers"),
        *extra,
    )
    return b"".join(b"\x00" + _text(name) + _text(value) for name, value in fields)


def _text(text: str) -> bytes:
    """Returns a string as HPACK has it: its length in 7 bits or more, and its bytes."""
    data, length = text.encode(), len(text.encode())
    if length < 127:
        return bytes([length]) + data
    length -= 127
    encoded = [127]
    while length >= 128:
        encoded.append(length % 128 + 128)
        length //= 128
    return bytes([*encoded, length]) + data
