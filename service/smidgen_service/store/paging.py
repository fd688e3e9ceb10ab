"""Pages of a collection, newest first, and the opaque tokens that continue them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import sqlite3
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

from smidgen_service.errors import InvalidArgumentError
from smidgen_service.store.tenancy import current_tenant

T = TypeVar("T")

DEFAULT_PAGE_SIZE = 50
MOST_PAGE_SIZE = 1000
_MAC_BYTES = 16


@dataclass(frozen=True, slots=True)
class PageRequest:
    """Which page to return: at most `size` rows with a sequence below `before`."""

    size: int
    before: int | None = None


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Rows, and the token of the next page; empty on the last one."""

    items: tuple[T, ...]
    next_token: str


@dataclass(frozen=True, slots=True)
class Slice(Generic[T]):
    """Rows, and the sequence below which the next page begins; None on the last one."""

    items: tuple[T, ...]
    next_before: int | None


class PageTokens:
    """Makes tokens that only this data directory accepts, each for one collection of one tenant."""

    def __init__(self, key: bytes) -> None:
        self._key = key

    def request(self, collection: str, *, page_size: int, page_token: str) -> PageRequest:
        """Checks the paging fields of a List call.

        Raises:
            InvalidArgumentError: page_size is negative, or page_token is not ours.
        """
        if page_size < 0:
            raise InvalidArgumentError(
                f"page_size is {page_size}, expected 0 (for {DEFAULT_PAGE_SIZE}) or more",
                field="page_size",
                reason="INVALID_PAGE_SIZE",
            )
        size = min(page_size or DEFAULT_PAGE_SIZE, MOST_PAGE_SIZE)
        before = self._decode(collection, page_token) if page_token else None
        return PageRequest(size=size, before=before)

    def page(self, collection: str, part: Slice[T]) -> Page[T]:
        """Turns rows into a page with its token."""
        if part.next_before is None:
            return Page(items=part.items, next_token="")
        cursor = struct.pack("<q", part.next_before)
        mac = self._mac(collection, cursor)
        token = base64.urlsafe_b64encode(self._hide(cursor, mac) + mac).decode()
        return Page(items=part.items, next_token=token)

    def _decode(self, collection: str, token: str) -> int:
        try:
            raw = base64.b64decode(token, altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            raw = b""
        mac = raw[8:]
        cursor = self._hide(raw[:8], mac)
        if len(raw) != 8 + _MAC_BYTES or not hmac.compare_digest(
            mac, self._mac(collection, cursor)
        ):
            raise InvalidArgumentError(
                "page_token is not one that this server returned for this list; "
                "start again without a token",
                field="page_token",
                reason="INVALID_PAGE_TOKEN",
            )
        return int(struct.unpack("<q", cursor)[0])

    def _mac(self, collection: str, cursor: bytes) -> bytes:
        message = f"{current_tenant()}/{collection}".encode() + b"\0" + cursor
        return hmac.new(self._key, message, hashlib.sha256).digest()[:_MAC_BYTES]

    def _hide(self, cursor: bytes, mac: bytes) -> bytes:
        """Hides a cursor, or shows it again: it counts the rows of all tenants."""
        pad = hmac.new(self._key, b"cursor\0" + mac, hashlib.sha256).digest()
        return bytes(left ^ right for left, right in zip(cursor, pad, strict=False))


def load_or_make_key(path: Path) -> bytes:
    """Returns the secret of a data directory, made on first use."""
    if not path.exists():
        temporary = path.with_suffix(".tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
            file.flush()
            os.fsync(file.fileno())
        temporary.rename(path)
    return path.read_bytes()


def select_slice(
    tx: sqlite3.Connection,
    table: str,
    request: PageRequest,
    decode: Callable[[sqlite3.Row], T],
    *,
    where: str = "1",
    values: tuple[str, ...] = (),
) -> Slice[T]:
    """Reads one page of a tenant's rows; `table` and `where` are constants of the caller."""
    rows = tx.execute(
        f"SELECT * FROM {table} WHERE tenant = ? AND {where} AND sequence < ?"
        " ORDER BY sequence DESC LIMIT ?",
        (
            current_tenant(),
            *values,
            2**62 if request.before is None else request.before,
            request.size + 1,
        ),
    ).fetchall()
    items = tuple(decode(row) for row in rows[: request.size])
    has_more = len(rows) > request.size
    return Slice(items=items, next_before=rows[request.size - 1]["sequence"] if has_more else None)
