"""Tokens: an id that may be seen, a secret that is shown once, and the digest that is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass

_FORM = re.compile(r"([0-9a-f]{12})\.[A-Za-z0-9_-]{43}")
_BEARER = re.compile(r"[Bb][Ee][Aa][Rr][Ee][Rr] +(\S{1,512})")


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that nobody knows yet.

    Attributes:
        id: Names it in files and logs.
        text: What its holder sends; it is not kept anywhere.
        sha256: What the server keeps.
    """

    id: str
    text: str
    sha256: str


def new_token() -> NewToken:
    """Returns a token with a secret of 256 random bits.

    Nobody can guess such a secret, so a plain digest protects it: slow hashes and salts are for
    passwords, which people choose.
    """
    token_id = secrets.token_hex(6)
    text = f"{token_id}.{secrets.token_urlsafe(32)}"
    return NewToken(token_id, text, digest(text))


def digest(text: str) -> str:
    """Returns what is kept of a token; its id is part of it, so no digest fits another id."""
    return hashlib.sha256(text.encode()).hexdigest()


def token_id(text: str) -> str | None:
    """Returns the id of a token, None for what does not have the form of one."""
    match = _FORM.fullmatch(text)
    return match.group(1) if match is not None else None


def bearer(value: str) -> str | None:
    """Returns the token in an `authorization` header, None where there is another scheme."""
    match = _BEARER.fullmatch(value)
    return match.group(1) if match is not None else None
