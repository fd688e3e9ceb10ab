"""What a front is told when it begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from smidgen_service.settings import Settings


@dataclass(frozen=True, slots=True)
class Beginning:
    """What a front is told.

    Attributes:
        settings: Those of the whole server.
        index: Which of the fronts it is, from 0.
        address: Where it listens, `host:port`.
        socket: Where the control process listens.
        secret: By which the control process knows its fronts.
    """

    settings: Settings
    index: int
    address: str
    socket: str
    secret: bytes

    def to_fields(self) -> dict[str, Any]:
        """Returns plain values."""
        return {
            "settings": self.settings.model_dump(mode="json"),
            "index": self.index,
            "address": self.address,
            "socket": self.socket,
            "secret": self.secret.hex(),
        }

    @classmethod
    def from_fields(cls, fields: Mapping[str, Any]) -> Self:
        """Returns what to_fields was called on."""
        return cls(
            settings=Settings(**fields["settings"]),
            index=int(fields["index"]),
            address=str(fields["address"]),
            socket=str(fields["socket"]),
            secret=bytes.fromhex(fields["secret"]),
        )
