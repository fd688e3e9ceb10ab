"""The layers together: what is there on this machine, and how a worker puts them on."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen_service.jobs.sandbox import landlock, limits, seccomp
from smidgen_service.jobs.sandbox.landlock import Reach

VARIABLE = "SMIDGEN_WORKER_SANDBOX"
OFF = "off"
_PATHS = ("model", "trained", "path")
_LISTS_OF_PATHS = ("paths",)
_DATASETS = ("dataset", "evaluation")


@dataclass(frozen=True, slots=True)
class Layers:
    """Which layers there are: the version of Landlock, 0 for none, and seccomp."""

    landlock: int
    seccomp: bool

    @property
    def is_whole(self) -> bool:
        """Whether none is missing."""
        return self.landlock > 0 and self.seccomp


def available() -> Layers:
    """Returns what this machine has."""
    return Layers(landlock.version(), seccomp.is_available())


def enter(scratch: Path, task: Mapping[str, Any]) -> Layers:
    """Takes from this process what its task does not need; returns the layers that do.

    Afterwards it can write in its scratch directory alone, and of the data directory read nothing
    but that and the files that its task names.

    Args:
        scratch: Its directory, two levels below the data directory.
        task: What it was asked to do.
    """
    if os.environ.get(VARIABLE) == OFF:
        return Layers(0, seccomp=False)
    hidden = scratch.parent.parent
    files = tuple(files_of(task, hidden))
    bounds = limits.limits_of(os.environ)
    if bounds is not None:
        limits.apply(bounds, file_count=len(files))
    # Both look at the machine by ways that are closed afterwards, and remember what they found.
    platform.uname()
    reach = Reach(hidden=hidden, readable=files, writable=(scratch,))
    return Layers(landlock.restrict(reach), seccomp.restrict())


def files_of(task: Mapping[str, Any], folder: Path) -> Iterator[Path]:
    """Yields the files of a folder that a task names.

    Only where the server puts them: other texts of a task are a client's.
    """
    places = (task, *(task[name] for name in _DATASETS if isinstance(task.get(name), Mapping)))
    for place in places:
        values = [place.get(name) for name in _PATHS]
        values += [value for name in _LISTS_OF_PATHS for value in place.get(name) or ()]
        for value in values:
            if isinstance(value, str) and Path(value).is_relative_to(folder):
                yield Path(value)
