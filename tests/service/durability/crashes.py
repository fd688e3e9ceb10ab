"""Kills a server's store at chosen calls of the disk, and checks what is left of it.

    LD_PRELOAD=... python -m tests.service.durability.crashes --points 200 --folder /tmp/crashes

Each point is a process of its own (a fork of this one, so that nothing is imported again): the
client makes its calls and is killed at one call of the disk; another process recovers, what was
acknowledged is looked for, the client sends the call again that got no answer, and at the end all
that is stored must equal what an undisturbed run leaves. Prints one JSON document.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import shutil
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from smidgen_service.data_dir import DataDir
from smidgen_service.store.database import Database
from smidgen_service.store.schema import MIGRATIONS
from tests.service.durability.client import Client
from tests.service.durability.faulty_disk import KILL, TEAR, Fault, FaultyDisk
from tests.service.durability.laboratory import Ended, Laboratory, Tell, Work
from tests.service.durability.stored_state import State, faults_of, lost, stored_state

Look = Callable[[], dict[str, Any]]
_NO_CALLS = 1 << 20


@dataclass
class Report:
    """The figures of a run."""

    points: int = 0
    killed: int = 0
    lost: list[str] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)
    duplicates: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)
    slowest_recovery_s: float = 0.0
    calls_of_the_disk: dict[str, int] = field(default_factory=dict)
    killed_during: Counter[str] = field(default_factory=Counter)
    killed_at: Counter[str] = field(default_factory=Counter)


def client_run(data_dir: DataDir, namespace: int, first: int, look: Look = dict) -> Work:
    """Returns the work of a client from its first call without an answer on.

    Args:
        data_dir: The directory of the server.
        namespace: Request ids are drawn by it.
        first: The number of that call.
        look: Looks at what is stored after the recovery; its result is told.
    """

    async def calls(tell: Tell) -> None:
        started_s = time.monotonic()
        client = Client(data_dir, namespace)
        await client.start()
        tell({"recovered_s": time.monotonic() - started_s, **look()})
        for number in range(first, len(client.calls)):
            tell({"call": client.calls[number][0]})
            tell({"number": number, "result": dict(await client.call(number))})
        await client.stop()

    def work(tell: Tell) -> None:
        with data_dir.locked():
            asyncio.run(calls(tell))

    return work


def crash_client(
    laboratory: Laboratory, report: Report, expected: State, fault: Fault, number: int
) -> None:
    """Kills the client at one call of the disk, recovers, and lets it go on to its end."""
    data_dir = laboratory.fresh()
    crashed = laboratory.run(data_dir, client_run(data_dir, number, 0), fault, number)
    report.points += 1
    answers = [message for message in crashed.messages if "result" in message]
    current = ([m["call"] for m in crashed.messages if "call" in m] or ["start"])[-1]
    if crashed.was_killed:
        report.killed += 1
        report.killed_during[current] += 1
        report.killed_at[laboratory.hit()] += 1
    place = f"call {number} of the disk, during {current!r}"
    results = [answer["result"] for answer in answers]

    def look() -> dict[str, Any]:
        return {"lost": lost(data_dir, results, current), "faults": faults_of(data_dir)}

    work = client_run(data_dir, number, len(answers), look)
    _note_recovery(report, place, laboratory.run(data_dir, work))
    _compare(report, place, stored_state(data_dir), expected)


def crash_migration(
    laboratory: Laboratory,
    report: Report,
    template: Path,
    expected: State,
    fault: Fault,
    number: int,
) -> None:
    """Kills a server while it brings an old database up to date."""
    data_dir = laboratory.fresh(template)
    crashed = laboratory.run(data_dir, _migration(data_dir), fault, number)
    report.points += 1
    report.killed += crashed.was_killed
    report.killed_during["migration"] += crashed.was_killed
    if crashed.was_killed:
        report.killed_at[laboratory.hit()] += 1
    place = f"call {number} of the disk, during a migration"
    work = client_run(data_dir, 0, _NO_CALLS, lambda: {"lost": [], "faults": faults_of(data_dir)})
    _note_recovery(report, place, laboratory.run(data_dir, work))
    _compare(report, place, stored_state(data_dir), expected)


def _migration(data_dir: DataDir) -> Work:
    async def migrate() -> None:
        await (await Database(data_dir.database).open()).close()

    return lambda _: asyncio.run(migrate())


def _note_recovery(report: Report, place: str, ended: Ended) -> None:
    recovery = next(message for message in ended.messages if "recovered_s" in message)
    report.slowest_recovery_s = max(report.slowest_recovery_s, recovery["recovered_s"])
    report.lost += [f"{place}: {what}" for what in recovery["lost"]]
    report.unreadable += [f"{place}: {what}" for what in recovery["faults"]]


def _compare(report: Report, place: str, found: State, expected: State) -> None:
    for name, values in expected.items():
        if found[name] == values:
            continue
        line = f"{place}: {name} are {found[name]}, expected {values}"
        has_more = len(found[name]) > len(values)
        (report.duplicates if has_more else report.broken).append(line)


def old_store(laboratory: Laboratory, folder: Path, version: int) -> Path:
    """Returns a directory whose database has an old schema and a row in each of its tables."""
    data_dir = laboratory.fresh()
    laboratory.run(data_dir, client_run(data_dir, 0, 0))
    data_dir.database.unlink()
    for end in ("-wal", "-shm"):
        Path(f"{data_dir.database}{end}").unlink(missing_ok=True)
    shutil.rmtree(data_dir.blobs)
    with closing(sqlite3.connect(data_dir.database, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        for statements in MIGRATIONS[:version]:
            for statement in statements:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version = {version}")
        for number in range(200):
            connection.execute(
                "INSERT INTO jobs (id, kind, state, progress, model_id, calibration_id, config,"
                " last_sequence, create_time) VALUES (?, 'convert', 'cancelled', 0, 'm', 'c',"
                " '{\"equalize\": true}', 0, 1)",
                (f"j{number}",),
            )
    target = folder / "old"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(data_dir.root, target)
    return target


def spread(total: int, points: int, generator: random.Random) -> Iterator[int]:
    """Yields numbers from 1 to total, evenly spread, each once."""
    step = max(total / points, 1.0)
    for index in range(min(points, total)):
        yield min(total, 1 + int(index * step + generator.random() * (step - 1)))


def run(points: int, folder: Path, seed: int) -> Report:
    """Kills processes at so many points and returns what was found."""
    logging.disable()
    folder.mkdir(parents=True, exist_ok=True)
    laboratory = Laboratory(FaultyDisk(), folder)
    generator, report = random.Random(seed), Report()

    data_dir = laboratory.fresh()
    whole = laboratory.run(data_dir, client_run(data_dir, 0, 0))
    expected, total = stored_state(data_dir), whole.messages[-1]["calls"]
    template = old_store(laboratory, folder, 6)
    data_dir = laboratory.fresh(template)
    migrated = laboratory.run(data_dir, _migration(data_dir)).messages[-1]["calls"]
    laboratory.run(data_dir, client_run(data_dir, 0, _NO_CALLS))
    expected_rows = stored_state(data_dir)
    report.calls_of_the_disk = {"client": total, "migration": migrated}

    migrations = max(points // 10, 1)
    for number in spread(total, points - migrations, generator):
        crash_client(laboratory, report, expected, generator.choice((KILL, TEAR)), number)
    for number in spread(migrated, migrations, generator):
        fault = generator.choice((KILL, TEAR))
        crash_migration(laboratory, report, template, expected_rows, fault, number)
    return report


def main() -> int:
    """Prints the figures; returns 1 if anything was lost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=200)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    report = run(arguments.points, arguments.folder.resolve(), arguments.seed)
    sys.stdout.write(json.dumps(vars(report), indent=2) + "\n")
    failures = (report.lost, report.unreadable, report.duplicates, report.broken)
    return int(any(failures))


if __name__ == "__main__":
    sys.exit(main())
