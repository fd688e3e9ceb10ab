"""The signals that end the server."""

from __future__ import annotations

import asyncio
import logging
import os
import signal

from smidgen_service.logs import log

_NUMBERS = (signal.SIGTERM, signal.SIGINT)


def first_signal() -> asyncio.Future[signal.Signals]:
    """Returns what is done with the first SIGTERM or SIGINT; a second one ends the process at once.

    The second one is taken by the interpreter itself, so that it also ends a server whose event
    loop waits for a thread.
    """
    loop = asyncio.get_running_loop()
    received: asyncio.Future[signal.Signals] = loop.create_future()

    def on_signal(number: signal.Signals) -> None:
        if received.done():  # both came at the same time
            _end(number, None)
        for each in _NUMBERS:
            loop.remove_signal_handler(each)
            signal.signal(each, _end)
        received.set_result(number)

    for number in _NUMBERS:
        loop.add_signal_handler(number, on_signal, number)
    return received


def _end(_number: int, _frame: object) -> None:
    try:
        log("server_killed", level=logging.WARNING)
    finally:  # the signal may have come in the middle of a line of the log
        os._exit(1)
