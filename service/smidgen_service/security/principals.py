"""Who a caller is."""

from __future__ import annotations

import contextvars
from dataclasses import dataclass

from smidgen_service.security.roles import Role
from smidgen_service.store.tenancy import DEFAULT_TENANT, act_for


@dataclass(frozen=True, slots=True)
class Principal:
    """A caller whose credentials were checked.

    Attributes:
        name: Id of its token or name of its certificate; empty where callers are not told apart.
        tenant: Whose models, data and jobs it sees.
        roles: What it may do with them.
    """

    name: str
    tenant: str
    roles: frozenset[Role]


IMPLICIT = Principal("", DEFAULT_TENANT, frozenset({Role.ADMIN}))
"""Every caller of a server that tells no callers apart."""

CALLER: contextvars.ContextVar[Principal | None] = contextvars.ContextVar("caller", default=None)


def enter(principal: Principal) -> None:
    """Makes the rest of this call that principal's."""
    CALLER.set(principal)
    act_for(principal.tenant)
