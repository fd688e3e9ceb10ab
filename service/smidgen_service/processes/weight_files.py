"""Files in memory by which fronts share packed weights, kept by the control process."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field

from smidgen_service.processes.weight_line import (
    ANSWER,
    TAKE,
    LineEndedError,
    Message,
    WeightLine,
)

_MOST_FILES = 1024
"""Files of one front: each is a descriptor, of which the control process needs some as well."""
_MFD_NOEXEC_SEAL = 0x8  # of Linux 6.3 and later, and required where vm.memfd_noexec is 2


@dataclass(frozen=True, slots=True)
class _File:
    """A file, and how often each front has taken it."""

    descriptor: int
    holders: Counter[WeightLine] = field(default_factory=Counter)


class WeightFiles:
    """Has a file for each key of which some front has use.

    Fronts fill the files and check what is in them, see Engine.share_weights. Here they are only
    kept, so that what a front has filled outlives it as long as others need it.
    """

    def __init__(self) -> None:
        self._files: dict[str, _File] = {}
        self._lines: set[WeightLine] = set()

    def serve(self, line: WeightLine) -> None:
        """Does what a front asks for, until its end of the line is gone."""
        self._lines.add(line)
        asyncio.get_running_loop().add_reader(line, self._read, line)

    def close(self) -> None:
        """Ends all lines, and with them all files."""
        for line in tuple(self._lines):
            self._end(line)

    def _read(self, line: WeightLine) -> None:
        try:
            while (message := line.receive()) is not None:
                if message.file is not None:  # fronts have none to give
                    os.close(message.file)
                if message.kind == TAKE:
                    line.send(Message(ANSWER, message.key, self._take(message.key, line)))
                else:
                    self._drop(message.key, line)
        except LineEndedError:
            self._end(line)

    def _end(self, line: WeightLine) -> None:
        asyncio.get_running_loop().remove_reader(line)
        line.close()
        self._lines.discard(line)
        for key in [key for key, file in self._files.items() if line in file.holders]:
            self._forget(key, line)

    def _take(self, key: str, line: WeightLine) -> int | None:
        file = self._files.get(key)
        if file is None:
            if sum(line in other.holders for other in self._files.values()) >= _MOST_FILES:
                return None
            descriptor = _new_file()
            if descriptor is None:
                return None
            file = self._files[key] = _File(descriptor)
        file.holders[line] += 1
        return file.descriptor

    def _drop(self, key: str, line: WeightLine) -> None:
        file = self._files.get(key)
        if file is None or line not in file.holders:
            return
        file.holders[line] -= 1
        if not file.holders[line]:
            self._forget(key, line)

    def _forget(self, key: str, line: WeightLine) -> None:
        holders = self._files[key].holders
        del holders[line]
        if not holders:
            os.close(self._files.pop(key).descriptor)


def _new_file() -> int | None:
    """Returns an empty file in memory that can be sealed; None where there are none."""
    try:
        flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    except AttributeError:  # of this system
        return None
    for more in (_MFD_NOEXEC_SEAL, 0):  # older kernels know no such flag
        with suppress(OSError):
            return os.memfd_create("smidgen-weights", flags | more)
    return None
