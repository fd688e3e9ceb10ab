"""Whose rows a transaction may see. Nothing below a call says so but this variable."""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Iterator
from contextlib import contextmanager

DEFAULT_TENANT = "default"
"""The one tenant of a server that tells no callers apart."""

_TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("tenant")


# The methods themselves: functions around them would be called several times in every call.
act_for: Callable[[str], object] = _TENANT.set
"""Makes the rest of this task act for a tenant."""
current_tenant: Callable[[], str] = _TENANT.get
"""Returns the tenant that this task acts for.

Raises:
    LookupError: it acts for none, so it must not look at what belongs to tenants.
"""


@contextmanager
def acting_for(tenant: str) -> Iterator[None]:
    """Makes a block act for a tenant."""
    token = _TENANT.set(tenant)
    try:
        yield
    finally:
        _TENANT.reset(token)


def qualified(tenant: str, name: str) -> str:
    """Returns what the operator is told of a resource, whose name is a tenant's own."""
    return name if tenant == DEFAULT_TENANT else f"tenants/{tenant}/{name}"


def metric_label(tenant: str, model_id: str) -> str:
    """Returns what stands for a model in metrics; the id alone is one tenant's own."""
    return model_id if tenant == DEFAULT_TENANT else f"{tenant}/{model_id}"
