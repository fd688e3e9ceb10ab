"""Where a node of a .pt2 file comes from in the user's own program: text for display alone."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache

MOST_SOURCE = 120

_DISPLAY_PATH = re.compile(r"[A-Za-z0-9_.]{0,200}")
_FRAME = re.compile(r'File "([^"\n]{1,1024})", line (\d{1,7}), in ([^\n]{1,80})')
# What is looked at of a trace, from its end: torch writes all frames of it, the innermost last.
_MOST_TRACE = 16_384
_TORCH = "/torch/"


def module_path(metadata: Mapping[str, str]) -> str:
    """Returns the path of the innermost module, from `L__self__,,Net;L__self__a,a,Conv2d`."""
    innermost = metadata.get("nn_module_stack", "").rsplit(";", 1)[-1]
    path = innermost.split(",")[1] if innermost.count(",") >= 2 else ""
    return path if _DISPLAY_PATH.fullmatch(path) else ""


def source_line(metadata: Mapping[str, str]) -> str:
    """Returns the line that called the operator, `net.py:12 in forward`; empty if none is stated.

    It is the innermost one outside torch. Of the file no more than its name is told, and of
    whatever the trace states no more than MOST_SOURCE printable characters.
    """
    return _innermost(metadata.get("stack_trace", "")[-_MOST_TRACE:])


@lru_cache(64)  # the calls of one line follow each other
def _innermost(trace: str) -> str:
    frames = _FRAME.findall(trace)
    own = [frame for frame in frames if _TORCH not in frame[0].replace("\\", "/")]
    if not frames:
        return ""
    file, line, function = (own or frames)[-1]
    name = file.replace("\\", "/").rsplit("/", 1)[-1]
    shown = f"{name}:{line} in {function}"
    if not shown.isprintable():
        shown = "".join(c for c in shown if c.isprintable())
    return shown[:MOST_SOURCE]
