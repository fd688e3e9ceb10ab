"""Identities and certificates as a server has them: from files that may change while it runs."""

from __future__ import annotations

from smidgen_service.quotas import TenantLimits
from smidgen_service.security.authentication import Authenticator
from smidgen_service.security.certificates import ServerCertificates
from smidgen_service.security.reloading import FileReloads, Reloadable
from smidgen_service.settings import Settings


class SecurityFiles:
    """The files by which callers are told apart and connections encrypted.

    Attributes:
        authenticator: Checks credentials.
        certificates: Those of the server; None without TLS.

    Args:
        settings: Name the files.
        reloads: Reads them again when they change.

    Raises:
        IdentityError: the file of identities cannot be used.
        CertificateError: a file of a certificate or a key cannot be used.
    """

    def __init__(self, settings: Settings, reloads: FileReloads) -> None:
        self._tenant_limits = settings.tenant_limits
        self.certificates = _read_certificates(settings, reloads)
        self.authenticator = _read_identities(settings, reloads)

    def limits_of(self, tenant: str) -> TenantLimits:
        """Returns what a tenant may have, as things are now."""
        own = self.authenticator.identities.tenants.get(tenant)
        return self._tenant_limits if own is None else own.or_else(self._tenant_limits)


def _read_identities(settings: Settings, reloads: FileReloads) -> Authenticator:
    path = settings.auth_file
    authenticator = Authenticator(path, asks_for_certificates=settings.tls_client_ca is not None)
    if path is not None:
        reloads.watch(Reloadable("identities", (path,), authenticator.reload))
    return authenticator


def _read_certificates(settings: Settings, reloads: FileReloads) -> ServerCertificates | None:
    files = settings.certificate_files
    if files is None:
        return None
    certificates = ServerCertificates(files)
    reloads.watch(Reloadable("certificates", files.paths, certificates.reload))
    return certificates
