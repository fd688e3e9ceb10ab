"""The checks that let calls go on to their handlers."""

from __future__ import annotations

from smidgen_service.converters.open_inference.wording import tritons_words
from smidgen_service.lifecycle import Lifecycle, Phase
from smidgen_service.methods import OPEN_INFERENCE, is_always_served
from smidgen_service.security.gate import Gate
from smidgen_service.security.principals import enter
from smidgen_service.surroundings import Call


class Authorize:
    """Finds out who is calling and makes the call that caller's."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def __call__(self, call: Call) -> None:
        """Lets a call pass that may.

        Raises:
            UnauthenticatedError: the caller did not prove who it is.
            PermissionDeniedError: it has no role that may call this.
        """
        principal = self._gate.admit(call.method.path, call.metadata, call.context.auth_context)
        if principal is not None:
            enter(principal)


class WhileServing:
    """Refuses calls while the server starts or stops; probes and reflection always pass."""

    def __init__(self, lifecycle: Lifecycle) -> None:
        self._lifecycle = lifecycle

    def __call__(self, call: Call) -> None:
        """Lets a call pass while the server serves.

        Raises:
            DrainingError: it does not.
        """
        if self._lifecycle.phase is Phase.SERVING:
            return
        path = call.method.path
        if self._lifecycle.is_serving or is_always_served(path):
            return
        if path.startswith(OPEN_INFERENCE):
            with tritons_words():
                self._lifecycle.check()
        self._lifecycle.check()
