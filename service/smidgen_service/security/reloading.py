"""Files that may change while the server runs, and what is done about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from smidgen_service.logs import log

_PAUSE_S = 1.0

Signature = tuple[tuple[int, int, int, int] | None, ...]


@dataclass(frozen=True, slots=True)
class Reloadable:
    """Files that are read together.

    Attributes:
        name: What they are, for the log.
        paths: The files.
        reload: Reads them again; what it raises leaves the earlier contents in use.
    """

    name: str
    paths: tuple[Path, ...]
    reload: Callable[[], None]


class FileReloads:
    """Reads files again when they change, and all of them when told to."""

    def __init__(self) -> None:
        self._watched: list[Reloadable] = []
        self._seen: dict[str, Signature] = {}
        self._task: asyncio.Task[None] | None = None

    def watch(self, reloadable: Reloadable) -> None:
        """Adds files that have just been read."""
        self._watched.append(reloadable)
        self._seen[reloadable.name] = _signature(reloadable.paths)

    def start(self) -> None:
        """Begins to look for changes, once a second."""
        if self._watched:
            self._task = asyncio.create_task(self._look_for_changes(), name="file-reloads")

    async def stop(self) -> None:
        """Ends that."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def reload_all(self) -> None:
        """Reads all files again."""
        for reloadable in self._watched:
            self._reload(reloadable, _signature(reloadable.paths))

    async def _look_for_changes(self) -> None:
        while True:
            await asyncio.sleep(_PAUSE_S)
            for reloadable in self._watched:
                found = await asyncio.to_thread(_signature, reloadable.paths)
                if found != self._seen[reloadable.name]:
                    self._reload(reloadable, found)

    def _reload(self, reloadable: Reloadable, found: Signature) -> None:
        # Noted first: a bad file is reported once, and read again when it changes again.
        self._seen[reloadable.name] = found
        try:
            reloadable.reload()
        except Exception as error:  # whatever a file holds, the server goes on as before
            log(
                "reload_refused",
                level=logging.ERROR,
                files=reloadable.name,
                error_text=str(error),
            )
        else:
            log("reloaded", files=reloadable.name)


def _signature(paths: tuple[Path, ...]) -> Signature:
    """Returns what tells that files were replaced or written to; None stands for no file."""
    return tuple(_file_signature(path) for path in paths)


def _file_signature(path: Path) -> tuple[int, int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_size
