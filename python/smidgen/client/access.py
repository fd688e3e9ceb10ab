"""How a client connects and who it says it is: certificates of TLS, and a token."""

from __future__ import annotations

import ipaddress
import re
import ssl
from dataclasses import dataclass, field
from pathlib import Path

import grpc

from smidgen.errors import SmidgenError

_TOKEN = re.compile(r"[A-Za-z0-9._~+/=-]{1,512}")
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"


class AccessError(SmidgenError):
    """A certificate, a key or a token cannot be used."""

    default_reason = "ACCESS_UNUSABLE"


@dataclass(frozen=True, slots=True)
class Access:
    """What a client needs to be let in.

    Attributes:
        is_encrypted: Whether to use TLS; certificates say so as well.
        tls_ca: PEM file of the roots that the server's certificate must come from; None stands for
            those of the system.
        tls_cert: PEM file of the client's own certificate, where the server asks for one.
        tls_key: PEM file of its key.
        token: What `smidgen token create` printed; None without one.
        tls_name: Name in the server's certificate; None for the host that is called. For those
            who reach a server by another name than others do, such as a probe beside it.
    """

    is_encrypted: bool = False
    tls_ca: Path | None = None
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token: str | None = field(default=None, repr=False)
    tls_name: str | None = None

    def credentials(self) -> grpc.ChannelCredentials | None:
        """Returns the credentials of a channel, None for plain text.

        Raises: AccessError for a file that is missing or not in PEM form, or half of a pair.
        """
        if (self.tls_cert is None) != (self.tls_key is None):
            raise AccessError(
                "a client's certificate is given without its key, or the key without the "
                "certificate; give both, or neither"
            )
        files = (self.tls_ca, self.tls_cert, self.tls_key)
        if not self.is_encrypted and files == (None, None, None):
            return None
        certificate, key = _read(self.tls_cert, _CERTIFICATE), _read(self.tls_key, _KEY)
        _check_pair(self.tls_cert, self.tls_key)
        return grpc.ssl_channel_credentials(_read(self.tls_ca, _CERTIFICATE), key, certificate)


def read_token(path: Path) -> str:
    """Returns the token in a file.

    Raises: AccessError where the file cannot be read or holds something else.
    """
    try:
        token = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise AccessError(f"the token file {path} cannot be read: {reason}") from None
    if not _TOKEN.fullmatch(token):
        raise AccessError(
            f"{path} holds no token; expected one line, as `smidgen token create` prints it"
        )
    return token


def call_metadata(
    target: str, token: str | None, *, is_encrypted: bool
) -> tuple[tuple[str, str], ...]:
    """Returns the metadata of every call.

    Raises: AccessError for a token that would cross a network in plain text, or has other
        characters than tokens have.
    """
    if token is None:
        return ()
    if not _TOKEN.fullmatch(token):
        raise AccessError("the token has other characters than tokens have, or is empty")
    if not is_encrypted and not _is_local(target):
        raise AccessError(
            f"a token for {target} would be sent in plain text, for anyone on the way to read; use "
            "TLS (--tls, or --tls-ca with the server's root)",
            reason="TOKEN_NEEDS_TLS",
        )
    return (("authorization", f"Bearer {token}"),)


def _is_local(target: str) -> bool:
    if target.startswith(("unix:", "unix-abstract:")):
        return True
    host = target.rsplit("/", 1)[-1].rsplit(":", 1)[0].strip("[]")
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _read(path: Path | None, expected: bytes) -> bytes | None:
    if path is None:
        return None
    try:
        data = path.read_bytes()
    except OSError as error:
        raise AccessError(f"{path} cannot be read: {error.strerror or error}") from None
    if expected not in data:
        raise AccessError(f"{path} has no line with {expected.decode().strip('-')}; expected PEM")
    return data


def _check_pair(certificate: Path | None, key: Path | None) -> None:
    """Checks a pair by OpenSSL: gRPC would only ever say that it cannot connect."""
    if certificate is None or key is None:
        return
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise AccessError(
            f"{certificate} and {key} are not a certificate and its key, or the key has a "
            f"passphrase ({error.reason or 'malformed'})"
        ) from None
