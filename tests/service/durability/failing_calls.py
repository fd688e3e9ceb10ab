"""Lets one call of the disk fail, the n-th for n = 1, 2, ..., and checks what a client sees.

    LD_PRELOAD=... python -m tests.service.durability.failing_calls --stride 1 --folder /tmp/failing

Each n is a process of its own: a server starts and a client makes its calls, one call of the disk
fails once, and the client sends the call again that got an error. The error must be one of those
that the service has for its storage, the server must go on without a restart, and at the end all
that is stored must equal what an undisturbed run leaves. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import traceback
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smidgen.errors import SmidgenError
from smidgen_service.data_dir import DataDir
from smidgen_service.errors import InternalError
from smidgen_service.faults import hide
from tests.service.durability.client import Client
from tests.service.durability.faulty_disk import FAULTS, Fault, FaultyDisk
from tests.service.durability.laboratory import Laboratory, Tell, Work
from tests.service.durability.stored_state import State, faults_of, stored_state

_MOST_TRIES = 4
_ALL = 1 << 20


@dataclass
class Report:
    """The figures of a run."""

    points: int = 0
    calls_of_the_disk: dict[str, int] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    untyped: list[str] = field(default_factory=list)
    stuck: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    different: list[str] = field(default_factory=list)


def stubborn_run(data_dir: DataDir, calls: int = _ALL) -> Work:
    """Returns the work of a client that sends each of its first calls until it has its effect."""

    async def run(stack: ExitStack, tell: Tell) -> None:
        client = await _started(data_dir, stack, tell)
        for number in range(min(calls, len(client.calls))):
            for _ in range(_MOST_TRIES):
                try:
                    result = await client.call(number)
                except Exception as error:  # any error is what this is about
                    tell(_described(error, client.calls[number][0]))
                else:
                    tell({"number": number, "result": dict(result)})
                    break
            else:
                tell({"stuck": client.calls[number][0]})
        await client.stop()

    def work(tell: Tell) -> None:
        with ExitStack() as stack:
            asyncio.run(run(stack, tell))

    return work


async def _started(data_dir: DataDir, stack: ExitStack, tell: Tell) -> Client:
    """Starts a server; one that is refused by the disk is started again."""
    for _ in range(_MOST_TRIES):
        try:
            with ExitStack() as attempt:
                attempt.enter_context(data_dir.locked())
                client = Client(data_dir, 0)
                await client.start()
                stack.push(attempt.pop_all())
        except Exception as error:  # as above
            tell(_described(error, "start"))
        else:
            return client
    raise RuntimeError("the server does not start")


def _described(error: Exception, call: str) -> dict[str, Any]:
    found = error if isinstance(error, SmidgenError) else hide(error, "call_fault")
    message = {"call": call, "reason": found.reason}
    if isinstance(found, InternalError):
        message["traceback"] = "".join(traceback.format_exception(error))
    return message


def fail_once(
    laboratory: Laboratory, report: Report, expected: State, name: str, number: int
) -> None:
    """Lets one call of the disk fail."""
    data_dir = laboratory.fresh()
    ended = laboratory.run(data_dir, stubborn_run(data_dir), FAULTS[name], number)
    report.points += 1
    place = f"{name} at call {number} of the disk ({laboratory.hit()})"
    for message in ended.messages:
        if "reason" in message:
            report.reasons[message["reason"]] += 1
        if "traceback" in message:
            report.untyped.append(f"{place}: {message['call']}: {message['traceback']}")
        if "stuck" in message:
            report.stuck.append(f"{place}: {message['stuck']}")
        result = message.get("result", {})
        if result.get("state") == "failed":
            report.untyped.append(f"{place}: a job failed with {result['reason']}")
    report.unreadable += [f"{place}: {what}" for what in faults_of(data_dir)]
    # What could not be cleared away is cleared by the next start.
    laboratory.run(data_dir, stubborn_run(data_dir, calls=0))
    found = stored_state(data_dir)
    report.different += [
        f"{place}: {part} are {found[part]}, expected {values}"
        for part, values in expected.items()
        if found[part] != values
    ]


def run(stride: int, folder: Path, first: int = 1) -> Report:
    """Lets every stride-th call of each kind fail, from the first-th on."""
    logging.disable()
    folder.mkdir(parents=True, exist_ok=True)
    laboratory = Laboratory(FaultyDisk(), folder)
    report = Report()
    data_dir = laboratory.fresh()
    laboratory.run(data_dir, stubborn_run(data_dir))
    expected = stored_state(data_dir)
    for name, fault in FAULTS.items():
        data_dir = laboratory.fresh()
        whole = laboratory.run(data_dir, stubborn_run(data_dir), Fault(0, fault.calls), 0)
        report.calls_of_the_disk[name] = whole.messages[-1]["calls"]
        for number in range(first, report.calls_of_the_disk[name] + 1, stride):
            fail_once(laboratory, report, expected, name, number)
    return report


def main() -> int:
    """Prints the figures; returns 1 if anything is not as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stride", type=int, default=1)
    parser.add_argument("--first", type=int, default=1)
    parser.add_argument("--folder", type=Path, required=True)
    arguments = parser.parse_args()
    report = run(arguments.stride, arguments.folder.resolve(), arguments.first)
    sys.stdout.write(json.dumps(vars(report), indent=2) + "\n")
    return int(any((report.untyped, report.stuck, report.unreadable, report.different)))


if __name__ == "__main__":
    sys.exit(main())
