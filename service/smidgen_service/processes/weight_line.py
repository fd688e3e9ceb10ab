"""The line over which fronts get files in memory.

Descriptors go along with its messages, as they cannot with those of the other line, whose ends are
asyncio's streams.
"""

from __future__ import annotations

import json
import os
import socket
from dataclasses import dataclass

TAKE, DROP, ANSWER = "take", "drop", "answer"
_MOST_BYTES = 1 << 10


class LineEndedError(Exception):
    """Nobody is at the other end, or nobody reads there."""


@dataclass(frozen=True, slots=True)
class Message:
    """What one end says.

    Attributes:
        kind: TAKE or DROP of a front, ANSWER to a TAKE.
        key: Which file it is about.
        file: A descriptor of it. That of a message that was received is the receiver's.
    """

    kind: str
    key: str
    file: int | None = None


class WeightLine:
    """One end of the line. It never waits.

    Args:
        connection: A socket that keeps messages apart.
    """

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._connection = connection

    @classmethod
    def pair(cls) -> tuple[WeightLine, socket.socket]:
        """Returns one end, and the socket for the other."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    def fileno(self) -> int:
        """Returns the descriptor to wait at for messages."""
        return self._connection.fileno()

    def send(self, message: Message) -> None:
        """Sends a message.

        Raises:
            LineEndedError: it cannot be sent at once.
        """
        data = json.dumps([message.kind, message.key]).encode()
        files = [] if message.file is None else [message.file]
        try:
            socket.send_fds(self._connection, [data], files)
        except OSError as error:
            raise LineEndedError from error

    def receive(self) -> Message | None:
        """Returns the next message; None while there is none.

        Raises:
            LineEndedError: there will be none, or it is not one that this class sends.
        """
        try:
            data, files, _, _ = socket.recv_fds(
                self._connection, _MOST_BYTES, 1, socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise LineEndedError from error
        if not data:
            raise LineEndedError
        file = files[0] if files else None
        match _parsed(data):
            case [str(kind), str(key)]:
                return Message(kind, key, file)
        if file is not None:
            os.close(file)
        raise LineEndedError

    def close(self) -> None:
        """Ends the line."""
        self._connection.close()


def _parsed(data: bytes) -> object:
    try:
        return json.loads(data)
    except ValueError:
        return None
