"""One hostile call: made of a recipe, sent, and judged by how it ends."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import grpc
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2

from fuzz.calls.conversations import Conversation
from fuzz.calls.hostile import broken, drawn, edit, no_message
from fuzz.calls.methods import CalledMethod
from fuzz.recipe import Recipe

_CUT_OFF_S = 0.02
_DETAILS = "grpc-status-details-bin"
_REASON = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_FAULTS = (grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN)
_GIVEN_UP = re.compile(
    r"(Stream removed \()?Deadline Exceeded\)?|Locally cancelled by application!"
)
"""What the client's own side says of a call that was given up."""
_LEAKS = re.compile(
    r"Traceback|internal error|\b[A-Z]\w*(Error|Exception)\b|\bException\b|/\w+\.py\b|site-packages"
    r"|<class '|object at 0x|SQL|sqlite"
)
_WITHOUT_REASON = {("/grpc.health.v1.Health/Check", grpc.StatusCode.NOT_FOUND)}
"""Of services that are grpc's own."""


@dataclass(frozen=True, slots=True)
class HostileCall:
    """What is sent.

    Attributes:
        method: Where to.
        messages: Their bytes; other than one also for methods that take one.
        is_cut_off: Whether the client goes away without an end of its messages.
    """

    method: CalledMethod
    messages: Sequence[bytes]
    is_cut_off: bool


@dataclass(frozen=True, slots=True)
class Ended:
    """How a call ended.

    Attributes:
        code: Its status.
        text: The text of its status.
        reason: That of its ErrorInfo; empty without one.
        answers: The messages that came.
    """

    code: grpc.StatusCode
    text: str = ""
    reason: str = ""
    answers: tuple[bytes, ...] = ()


def hostile_call(
    method: CalledMethod, good: Mapping[str, Conversation], names: Sequence[str], data: bytes
) -> HostileCall:
    """Returns the call that bytes stand for.

    Args:
        method: The method.
        good: What well-behaved clients say to methods, by path.
        names: Texts that mean something to the server.
        data: The recipe.
    """
    recipe = Recipe(data)
    talk = [_copy(message) for message in good.get(method.path, ())]
    talk = talk or [drawn(method.request, recipe, names)]
    order = _reordered(talk, recipe) if method.takes_stream or recipe.below(16) == 0 else talk
    is_cut_off = recipe.below(8) == 0
    encoded = [message.SerializeToString() for message in order]
    # Mostly one of them, so that the others lead to where it hurts.
    hostile_one = recipe.below(len(order) or 1) if recipe.below(8) else None
    for at, message in enumerate(order):
        if hostile_one in (at, None):
            encoded[at] = _encoded(message, method, recipe, names)
    return HostileCall(method, encoded, is_cut_off)


def make(channel: grpc.Channel, call: HostileCall, *, patience_s: float) -> Ended:
    """Makes a call and returns how it ended.

    Args:
        channel: To the server.
        call: What is sent.
        patience_s: After which it is given up: it may wait for the end of a job.
    """
    has_begun = threading.Event()

    def messages() -> Iterator[bytes]:
        yield from call.messages
        if call.is_cut_off:
            has_begun.wait()
            time.sleep(_CUT_OFF_S)
            running.cancel()

    # As a stream of bytes, whatever the method is: so there may be no message, or too many.
    method: grpc.StreamStreamMultiCallable[bytes, bytes] = channel.stream_stream(call.method.path)
    running = method(messages(), timeout=patience_s)
    has_begun.set()
    answers: list[bytes] = []
    with suppress(grpc.RpcError):  # the status says the same
        answers.extend(running)
    reason = _reason(running.trailing_metadata() or ())
    return Ended(running.code(), running.details() or "", reason, tuple(answers))


def fault_of(call: HostileCall, ended: Ended) -> str | None:
    """Returns what is wrong with the end of a call, None if nothing is."""
    for answer in ended.answers:
        if found := _LEAKS.search(answer.decode("latin-1")):
            return f"an answer says {found[0]!r}"
    if ended.code is grpc.StatusCode.OK or _GIVEN_UP.fullmatch(ended.text):
        return None
    if ended.code in _FAULTS:
        return f"the call ended with {ended.code.name}"
    if found := _LEAKS.search(ended.text):
        return f"the text of the status says {found[0]!r}"
    return None if _has_reason(call.method, ended) else f"{ended.code.name} has no stable reason"


def _has_reason(method: CalledMethod, ended: Ended) -> bool:
    if (method.path, ended.code) in _WITHOUT_REASON:
        return True
    if ended.code is grpc.StatusCode.UNIMPLEMENTED and not method.is_always_served:
        return True
    return _REASON.fullmatch(ended.reason) is not None


def _copy(message: Message) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    return copy


def _reordered(talk: list[Message], recipe: Recipe) -> list[Message]:
    """Returns some of the messages, in an order of its own, or some of them twice."""
    match recipe.below(4):
        case 0:
            return talk
        case 1:
            return talk[1:]
        case 2:
            return talk[: recipe.below(len(talk))] + talk
        case _:
            return [recipe.pick(talk) for _ in range(recipe.below(6))]


def _encoded(message: Message, method: CalledMethod, recipe: Recipe, names: Sequence[str]) -> bytes:
    ways: list[Callable[[], bytes]] = [
        message.SerializeToString,
        lambda: _edited(message, recipe, names),
        lambda: _edited(message, recipe, names),
        lambda: drawn(method.request, recipe, names).SerializeToString(),
        lambda: broken(message.SerializeToString(), recipe),
        lambda: no_message(recipe),
    ]
    return recipe.pick(ways)()


def _edited(message: Message, recipe: Recipe, names: Sequence[str]) -> bytes:
    changed = _copy(message)
    edit(changed, recipe, names)
    return changed.SerializeToString()


def _reason(trailers: Iterable[tuple[str, str | bytes]]) -> str:
    details = dict(trailers).get(_DETAILS, b"")
    info = error_details_pb2.ErrorInfo()
    if isinstance(details, bytes):
        any(wrapper.Unpack(info) for wrapper in status_pb2.Status.FromString(details).details)
    return str(info.reason)
