"""How many calls may be in progress, of all callers and of each address."""

from __future__ import annotations

import ipaddress
from functools import lru_cache

from smidgen_service.errors import OverloadedError
from smidgen_service.methods import is_always_served

MOST_PROBES = 512
"""Calls of health, readiness and reflection in progress, beside all others."""
_PART = 4
"""By default an address may have this part of what all may have."""
_RETRY_AFTER_S = 1.0
_SUBNET_BITS = 64  # what one customer gets at least
_MOST_KNOWN = 1024


class Share:
    """Calls in progress, for the event loop's thread alone.

    Args:
        most: Of all callers.
        most_of_address: Of one address.
    """

    def __init__(self, most: int, most_of_address: int) -> None:
        self._most = most
        self._most_of_address = most_of_address
        self._by_address: dict[str | None, int] = {}
        self._in_progress = 0

    def enter(self, peer: str) -> str | None:
        """Counts a call, until `leave` is called with what is returned: its address.

        Args:
            peer: Where it comes from, as grpc writes it.

        Raises:
            OverloadedError: there are as many as may be.
        """
        if self._in_progress >= self._most:
            raise OverloadedError(
                f"{self._most} calls of this kind are in progress, and no more may be; try again "
                "later",
                retry_after_s=_RETRY_AFTER_S,
                reason="TOO_MANY_CALLS",
                most=self._most,
            )
        address = address_of(peer)
        by_address = self._by_address
        found = by_address.get(address, 0)
        if found >= self._most_of_address and address is not None:
            raise OverloadedError(
                f"{found} calls of this kind from the caller's address are in progress, and no "
                "more may be; try again when some have ended, or ask the operator for more "
                "(--max-calls-per-address)",
                retry_after_s=_RETRY_AFTER_S,
                reason="TOO_MANY_CALLS_FROM_ADDRESS",
                most=self._most_of_address,
            )
        by_address[address] = found + 1
        self._in_progress += 1
        return address

    def leave(self, address: str | None) -> None:
        """Counts a call less."""
        self._in_progress -= 1
        left = self._by_address[address] - 1
        if left:
            self._by_address[address] = left
        else:
            del self._by_address[address]


class Shares:
    """The shares of probes and of all other calls: neither takes the other's places.

    Args:
        most: Calls other than probes.
        most_of_address: Of those, from one address; None for a quarter. From an address that may
            have all of them, all probes may come too.
    """

    def __init__(self, most: int, most_of_address: int | None = None) -> None:
        of_address = max(1, most // _PART) if most_of_address is None else most_of_address
        probes_of_address = MOST_PROBES if of_address >= most else MOST_PROBES // _PART
        self._calls = Share(most, of_address)
        self._probes = Share(MOST_PROBES, probes_of_address)

    def of(self, path: str) -> Share:
        """Returns the share that calls of a method count in."""
        return self._probes if is_always_served(path) else self._calls


@lru_cache(_MOST_KNOWN)
def address_of(peer: str) -> str | None:
    """Returns what a caller cannot easily have many of; None where callers are not told apart.

    That is an address of IPv4, and the first half of one of IPv6, of which each has 2^64. Callers
    at a socket of this machine are not told apart.
    """
    host = peer.rpartition(":")[0]
    return host if host.startswith("ipv4:") else _subnet(host)


def _subnet(host: str) -> str | None:
    text = host.removeprefix("ipv6:").replace("%5B", "").replace("%5D", "").strip("[]")
    try:
        address = ipaddress.IPv6Address(text.partition("%")[0])
    except ValueError:
        return None
    if address.ipv4_mapped is not None:
        return f"ipv4:{address.ipv4_mapped}"
    network = ipaddress.IPv6Network((int(address) >> _SUBNET_BITS << _SUBNET_BITS, _SUBNET_BITS))
    return f"ipv6:{network}"
