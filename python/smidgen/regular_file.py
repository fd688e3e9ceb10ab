"""Opening files that others name: regular ones, and nothing that waits or never ends."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
    stat.S_IFSOCK: "a socket",
}


def open_regular(path: Path) -> BufferedReader:
    """Opens a regular file to read its bytes, or says at once that it is none.

    Opening a named pipe waits for a writer, and a device may have no end.

    Raises:
        OSError: It cannot be opened, or is a folder, a pipe, a socket or a device.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:  # a socket cannot even be opened
            raise _refused(path, stat.S_IFSOCK) from None
        raise
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        if not stat.S_ISREG(mode):
            raise _refused(path, stat.S_IFMT(mode))
        os.set_blocking(descriptor, True)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def check_regular(path: Path) -> None:
    """Refuses what open_regular refuses, for readers that open the file themselves.

    Raises:
        OSError: See open_regular.
    """
    open_regular(path).close()


def _refused(path: Path, kind: int) -> OSError:
    found = _KINDS.get(kind, "a special file")
    message = f"it is {found}, expected a regular file: write the data to a file first"
    return OSError(errno.EINVAL, message, str(path))
