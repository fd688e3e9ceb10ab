"""Which trace a call belongs to, by the header of W3C's Trace Context."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

HEADER = "traceparent"
STATE_HEADER = "tracestate"
# Later versions may have more behind a further hyphen, version 255 is none.
_FORM = re.compile(r"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?", re.A)
_SAMPLED = 1
_MEMBER = re.compile(
    r"[ \t]*((?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    r"=[ -+\--<>-~]{0,255}[!-+\--<>-~])[ \t]*"
)
_MOST_STATE = 512  # characters: what all have to pass on
_MOST_MEMBERS = 32


@dataclass(frozen=True, slots=True)
class Traceparent:
    """The caller's span.

    Attributes:
        trace_id: 32 hexadecimal digits, not all zero.
        span_id: 16 of them, not all zero.
        is_sampled: Whether the caller records its trace.
        state: What vendors say about it; "" for nothing, or nothing that is valid.
    """

    trace_id: str
    span_id: str
    is_sampled: bool
    state: str = ""


def find(metadata: Iterable[tuple[str, str | bytes]]) -> Traceparent | None:
    """Returns what the metadata of a call say; None where they say nothing that is valid."""
    given, states = [], []
    for key, value in metadata:
        if key == HEADER:
            given.append(value)
        elif key == STATE_HEADER:
            states.append(value)
    if len(given) != 1 or not isinstance(given[0], str):
        return None
    found = _FORM.fullmatch(given[0])
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if (more and version == "00") or not trace_id.strip("0") or not span_id.strip("0"):
        return None
    is_sampled = bool(int(flags, 16) & _SAMPLED)
    return Traceparent(trace_id, span_id, is_sampled, _state(",".join(map(str, states))))


def _state(header: str) -> str:
    """Returns what vendors say; "" where OpenTelemetry would log that it cannot be read.

    A line of the log for each call, as long as its caller likes, is not for callers to order.
    """
    if len(header) > _MOST_STATE:
        return ""
    members = [_MEMBER.fullmatch(member) for member in header.split(",") if member.strip(" \t")]
    texts = [member[1] for member in members if member is not None]
    keys = {text.partition("=")[0] for text in texts}
    if len(keys) != len(members) or len(keys) > _MOST_MEMBERS:
        return ""
    return ",".join(texts)
