"""Who is calling, as fronts tell the control process."""

from __future__ import annotations

import hmac
import json

from smidgen_service.errors import UnauthenticatedError
from smidgen_service.security.authentication import Metadata, Peer
from smidgen_service.security.principals import Principal
from smidgen_service.security.roles import Role

HEADER = "smidgen-caller-bin"
SECRET_BYTES = 32


class ForwardedCallers:
    """Believes what is said about callers by those who know a secret.

    Only the server's user can reach the socket of the control process. The secret, new at each
    start and in no file, keeps out worker processes of the same user on kernels without a sandbox.

    Args:
        secret: The secret.
    """

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    @property
    def is_strict(self) -> bool:
        """Nobody is believed without it."""
        return True

    def entry(self, principal: Principal) -> tuple[str, bytes]:
        """Returns the metadata that say who is calling."""
        document = {
            "name": principal.name,
            "tenant": principal.tenant,
            "roles": sorted(principal.roles),
        }
        return HEADER, self._secret + json.dumps(document).encode()

    def check_token(self, metadata: Metadata) -> None:
        """Refuses calls that do not come from a front.

        Raises:
            UnauthenticatedError: this one does not.
        """
        self._document(metadata)

    def authenticate(self, metadata: Metadata, _peer: Peer) -> Principal:
        """Returns who is calling.

        Raises:
            UnauthenticatedError: the call does not come from a front.
        """
        fields = json.loads(self._document(metadata))
        roles = frozenset(Role(role) for role in fields["roles"])
        return Principal(fields["name"], fields["tenant"], roles)

    def _document(self, metadata: Metadata) -> bytes:
        found = [value for key, value in metadata if key == HEADER and isinstance(value, bytes)]
        value = found[0] if len(found) == 1 else b""
        if not hmac.compare_digest(value[: len(self._secret)], self._secret):
            raise UnauthenticatedError(
                "this socket is for the processes of the server; call its port",
                reason="CREDENTIALS_INVALID",
            )
        return value[len(self._secret) :]
