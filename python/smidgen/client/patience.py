"""How long to go on when the server goes away in the middle of something."""

from __future__ import annotations

import time

from smidgen.client.errors import UnavailableError

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 2.0


class Patience:
    """Waits out the absence of a server that has answered before, for instance while it restarts.

    A server that never answered is reported at once: the address is more likely wrong than the
    server restarting.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s
        self._last_seen: float | None = None
        self._pause_s = _FIRST_PAUSE_S

    def seen(self) -> None:
        """Notes that the server answered."""
        self._last_seen = time.monotonic()
        self._pause_s = _FIRST_PAUSE_S

    def wait(self, error: UnavailableError) -> None:
        """Pauses before the next attempt.

        Raises: error once the server has been gone for limit_s seconds.
        """
        if self._last_seen is None or time.monotonic() - self._last_seen > self._limit_s:
            raise error
        time.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, _LONGEST_PAUSE_S)
