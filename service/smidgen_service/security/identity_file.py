"""The file of identities on disk: read by servers, changed by commands."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from smidgen.durable_file import write_durably
from smidgen_service.security.identities import (
    Identities,
    IdentityError,
    TokenEntry,
    check_tenant,
    encode,
    parse,
)
from smidgen_service.security.roles import Role
from smidgen_service.security.tokens import NewToken, new_token

_MOST_BYTES = 16 << 20


def read(path: Path) -> Identities:
    """Returns what the file holds.

    Raises:
        IdentityError: it cannot be read, or is malformed.
    """
    try:
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise IdentityError(
            f"the file of identities {path} cannot be read ({error.strerror or error}); make one "
            "with `smidgen token create`"
        ) from None
    if len(data) > _MOST_BYTES:
        raise IdentityError(f"{path} has more than {_MOST_BYTES} bytes")
    try:
        return parse(data)
    except IdentityError as error:
        raise IdentityError(f"{path} cannot be used: {error}") from None


def create_token(
    path: Path,
    *,
    tenant: str,
    roles: frozenset[Role],
    now: datetime,
    expire_time: datetime | None = None,
    note: str = "",
) -> NewToken:
    """Adds a token to the file, which is made if it is missing, and returns it.

    Raises:
        IdentityError: the file is malformed, or the tenant is no id.
        OSError: it cannot be written.
    """
    check_tenant(tenant)
    token = new_token()
    entry = TokenEntry(token.id, token.sha256, tenant, roles, now, expire_time, note)
    _change(path, lambda tokens: {**tokens, token.id: entry})
    return token


def revoke_token(path: Path, token_id: str) -> None:
    """Takes a token out of the file.

    Raises:
        IdentityError: there is no such token, or no such file.
        OSError: it cannot be written.
    """
    if token_id not in read(path).tokens:
        raise IdentityError(f"{path} has no token {token_id}")
    _change(path, lambda tokens: {key: entry for key, entry in tokens.items() if key != token_id})


def _change(path: Path, change: Callable[[dict[str, TokenEntry]], dict[str, TokenEntry]]) -> None:
    """Replaces the file in one step; two commands at once wait for each other."""
    lock = os.open(path.with_name(path.name + ".lock"), os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        identities = read(path) if path.exists() else Identities()
        changed = replace(identities, tokens=change(dict(identities.tokens)))
        encoded = encode(changed)
        parse(encoded)  # whatever is written can be read
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        write_durably(path, encoded)
        path.chmod(mode)
    finally:
        os.close(lock)
