"""Inferences that a full server refuses by their headers, before it reads their messages."""

from __future__ import annotations

from typing import Protocol

from smidgen.errors import SmidgenError
from smidgen_service.converters.open_inference.wording import in_tritons_words
from smidgen_service.errors import DrainingError, OverloadedError
from smidgen_service.handlers.arrivals import Arrival
from smidgen_service.lifecycle import Lifecycle
from smidgen_service.methods import OPEN_INFERENCE
from smidgen_service.rejections import Rejections
from smidgen_service.security.gate import Gate
from smidgen_service.store.tenancy import DEFAULT_TENANT
from smidgen_service.surroundings import Context

EXPECTED = frozenset(("/smidgen.v1.InferenceService/Infer", f"{OPEN_INFERENCE}ModelInfer"))
"""Methods whose calls are one inference each."""


class Admits(Protocol):
    """The queue in front of the engines."""

    def expect(self, tenant: str, /) -> Arrival:
        """Counts a request whose message is on its way. Raises: OverloadedError."""


class Expectation:
    """Expects inferences of which the headers are there.

    Args:
        gate: Knows whose a call is.
        lifecycle: Knows whether the server serves.
        admission: Knows whether it may wait.
        rejections: Count those that may not: no handler ever hears of them.
    """

    def __init__(
        self, gate: Gate, lifecycle: Lifecycle, admission: Admits, rejections: Rejections
    ) -> None:
        self._gate = gate
        self._lifecycle = lifecycle
        self._admission = admission
        self._rejections = rejections

    def of(self, path: str, context: Context) -> Arrival:
        """Returns what counts a call as on its way.

        Raises:
            UnauthenticatedError: the caller did not prove who it is.
            PermissionDeniedError: it has no role that may call this.
            DrainingError: the server starts or stops.
            OverloadedError: whatever the message is, the queue would not take it.
        """
        tenant = DEFAULT_TENANT
        if self._gate.tells_tenants_apart:
            metadata = tuple(context.invocation_metadata() or ())
            principal = self._gate.admit(path, metadata, context.auth_context)
            tenant = tenant if principal is None else principal.tenant
        try:
            self._lifecycle.check()
            return self._admission.expect(tenant)
        except (DrainingError, OverloadedError) as error:
            raise self._counted(path, error) from None

    def _counted(self, path: str, error: SmidgenError) -> SmidgenError:
        self._rejections.of_inference(error)
        return in_tritons_words(error, "") if path.startswith(OPEN_INFERENCE) else error
