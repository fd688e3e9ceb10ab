"""The certificates of the server: read, checked, and read again when their files change."""

from __future__ import annotations

import ssl
import threading
from dataclasses import dataclass
from pathlib import Path

import grpc

_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
_KEY = b"PRIVATE KEY-----"
_ENCRYPTED = b"ENCRYPTED"


class CertificateError(Exception):
    """A file of a certificate or a key cannot be used."""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Where the certificates are, all of them in PEM form.

    Attributes:
        certificate: The server's certificate, and those between it and the root.
        key: Its private key, without a passphrase.
        client_ca: Roots that clients' certificates must come from; None asks for none.
    """

    certificate: Path
    key: Path
    client_ca: Path | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """All files."""
        return tuple(path for path in (self.certificate, self.key, self.client_ca) if path)


class ServerCertificates:
    """Serves handshakes with the certificates as they were last read."""

    def __init__(self, files: CertificateFiles) -> None:
        """Reads and checks the files.

        Raises:
            CertificateError: one of them cannot be used.
        """
        self._files = files
        self._initial = _read(files)
        self._lock = threading.Lock()
        self._pending: grpc.ServerCertificateConfiguration | None = None

    def credentials(self) -> grpc.ServerCredentials:
        """Returns what a port is opened with. Handshakes after a reload use the new files."""
        return grpc.dynamic_ssl_server_credentials(
            self._initial,
            self._fetch,  # type: ignore[arg-type]  # its documentation allows None, its stub does not
            require_client_authentication=self._files.client_ca is not None,
        )

    def reload(self) -> None:
        """Reads the files again; connections that there are stay as they are.

        Raises:
            CertificateError: one of them cannot be used; the earlier ones stay in use.
        """
        found = _read(self._files)
        with self._lock:
            self._pending = found

    def _fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """Is asked by grpc at each handshake, in a thread of its own; None means no change."""
        with self._lock:
            pending, self._pending = self._pending, None
        return pending


def _read(files: CertificateFiles) -> grpc.ServerCertificateConfiguration:
    contents = {path: _read_file(path) for path in files.paths}
    certificate, key = contents[files.certificate], contents[files.key]
    if _CERTIFICATE not in certificate:
        raise _malformed(files.certificate, "no certificate", _CERTIFICATE.decode())
    if _KEY not in key:
        raise _malformed(files.key, "no private key", "-----BEGIN PRIVATE KEY-----")
    if _ENCRYPTED in key:
        raise CertificateError(
            f"the key in {files.key} is protected by a passphrase, which a server cannot be asked "
            "for; store it without one, readable by the server's user alone"
        )
    _check_pair(files)
    roots = _read_roots(files.client_ca, contents) if files.client_ca is not None else None
    if any(_read_file(path) != data for path, data in contents.items()):
        raise CertificateError(
            f"{files.certificate} or its key changed while they were read; they are read again"
        )
    return grpc.ssl_server_certificate_configuration([(key, certificate)], root_certificates=roots)


def _check_pair(files: CertificateFiles) -> None:
    """Lets OpenSSL look at the pair: gRPC would only say that a handshake failed, and later."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(files.certificate, files.key, password="")
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(
                f"the key in {files.key} is not that of the certificate in {files.certificate}; "
                "give the two that belong together"
            ) from None
        raise CertificateError(
            f"{files.certificate} and {files.key} cannot be used ({error.reason or 'malformed'}); "
            "expected a certificate and its key in PEM form, neither cut short"
        ) from None


def _read_roots(path: Path, contents: dict[Path, bytes]) -> bytes:
    roots = contents[path]
    if _CERTIFICATE not in roots:
        raise _malformed(path, "no certificate", _CERTIFICATE.decode())
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise CertificateError(
            f"the roots in {path} cannot be used ({error.reason or 'malformed'}); expected "
            "certificates in PEM form, none cut short"
        ) from None
    return roots


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise CertificateError(
            f"{path} cannot be read ({error.strerror or error}); check the path, and that the "
            "server's user may read it"
        ) from None


def _malformed(path: Path, found: str, expected: str) -> CertificateError:
    return CertificateError(f"{path} holds {found} in PEM form; expected a line {expected}")
