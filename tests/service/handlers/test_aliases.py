"""Aliases move from where they are expected to be, and back."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import SmidgenError
from smidgen.formats.model_file import ModelFormat
from smidgen.report import GateReport, QuantizationReport
from smidgen_service.errors import (
    ConflictError,
    FailedPreconditionError,
    NotFoundError,
    RequestIdReusedError,
    TooLargeError,
)
from smidgen_service.handlers.aliases import MOST_ALIASES, AliasChange, AliasHandler, Expectation
from smidgen_service.handlers.batching import BatchPolicy
from smidgen_service.handlers.models import check_unnamed
from smidgen_service.handlers.swapping import Swapper
from smidgen_service.handlers.versions import VersionResolver
from smidgen_service.metrics import Metrics
from smidgen_service.names import VersionChoice
from smidgen_service.security.principals import CALLER, Principal
from smidgen_service.store import aliases, models
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import PageTokens
from smidgen_service.store.records import AliasMove, AliasRecord, ModelRecord, VersionRecord
from smidgen_service.store.tenancy import acting_for

REPORTS = {
    1: None,
    2: QuantizationReport((), float_bytes=0),
    3: QuantizationReport((), float_bytes=0, float_accuracy=0.9, quantized_accuracy=0.875),
    4: QuantizationReport((), float_bytes=0, gate=GateReport(100, max_drop=0.5, drop=0.25)),
}


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """Holds model `m` with four versions."""
    opened = await Database(tmp_path / "db").open()
    await opened.write(_insert)
    yield opened
    await opened.close()


def _insert(tx: sqlite3.Connection) -> None:
    models.insert(tx, ModelRecord("m", "", ModelFormat.PT2, "0" * 64, 1, (), (), 0, 0, 0))
    for number, report in REPORTS.items():
        version = VersionRecord("m", number, f"{number:064}", 1, (), (), 0, report=report)
        models.insert_version(tx, version)


class Swaps:
    """Stands for the swapper, and notes what it was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.meanwhile: Callable[[], Awaitable[object]] | None = None

    @asynccontextmanager
    async def ready(
        self, version: VersionRecord, like: VersionRecord | None
    ) -> AsyncIterator[None]:
        self.asked.append(f"ready {version.version} like {like and like.version}")
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            await meanwhile()
        yield
        self.asked.append("moved")

    async def let_go(self, digests: list[str]) -> None:
        self.asked.append(f"let go {', '.join(str(int(digest)) for digest in digests)}")


@pytest.fixture
def swaps() -> Swaps:
    return Swaps()


@pytest.fixture
def handler(database: Database, swaps: Swaps) -> AliasHandler:
    times = iter(range(1, 1000))
    tokens, swapper = PageTokens(b"k" * 32), cast(Swapper, swaps)
    return AliasHandler(database, tokens, swapper, clock=lambda: next(times))


def change(
    version: VersionChoice = None,
    expected: int | None = None,
    *,
    alias: str = "live",
    etag: str = "",
    max_drop: float | None = None,
    request_id: str = "",
    validate_only: bool = False,
) -> AliasChange:
    key = RequestKey("SetAlias", request_id, f"{version}") if request_id else None
    return AliasChange(
        "m", alias, Expectation(expected, etag), key, validate_only, version, max_drop
    )


async def test_an_alias_moves_from_where_it_is_expected(handler: AliasHandler) -> None:
    made = await handler.set(change(1))
    assert (made.version, made.create_time, made.update_time) == (1, made.moves[0].time, 2)
    assert made.rollback_version is None
    moved = await handler.set(change(2, 1))
    assert (moved.version, moved.create_time, moved.rollback_version) == (2, made.create_time, 1)
    assert moved.etag != made.etag
    again = await handler.set(change(3, etag=moved.etag))
    assert [move.version for move in again.moves] == [3, 2, 1]
    assert [move.previous_version for move in again.moves] == [2, 1, None]
    assert await handler.get("m", "live") == again


async def test_an_alias_that_points_there_already_is_not_moved(handler: AliasHandler) -> None:
    made = await handler.set(change(3))
    assert await handler.set(change(3, 3, max_drop=0.5)) == made
    assert await handler.set(change(3, 3, validate_only=True)) == made
    with pytest.raises(FailedPreconditionError):  # it is held to the condition all the same
        await handler.set(change(3, 3, max_drop=0.0))


@pytest.mark.parametrize("expected", [Expectation(), Expectation(2), Expectation(etag="other")])
async def test_an_alias_that_is_elsewhere_stays(
    handler: AliasHandler, expected: Expectation
) -> None:
    made = await handler.set(change(1))
    wanted = AliasChange("m", "live", expected, None, False, 3)
    with pytest.raises(ConflictError, match="points at version 1") as caught:
        await handler.set(wanted)
    assert caught.value.reason == "ALIAS_MOVED"
    found = {key: caught.value.metadata[key] for key in ("resource_name", "found", "etag")}
    assert found == {"resource_name": "models/m/aliases/live", "found": "1", "etag": made.etag}
    if expected.is_given:
        for call in (handler.roll_back, handler.delete):
            with pytest.raises(ConflictError):
                await call(wanted)
    assert await handler.get("m", "live") == made


async def test_an_etag_does_not_come_back(handler: AliasHandler) -> None:
    """Whoever saw the alias at version 1 does not know that it is there once more."""
    first = await handler.set(change(1))
    await handler.set(change(2, 1))
    back = await handler.set(change(1, 2))
    assert back.version == first.version
    with pytest.raises(ConflictError):
        await handler.set(change(3, etag=first.etag))
    await handler.delete(change())
    assert (await handler.set(change(1))).etag not in (first.etag, back.etag)


async def test_what_is_not_there_is_not_found(handler: AliasHandler, database: Database) -> None:
    for call in (
        handler.set(change(1, 1)),
        handler.set(change(9)),
        handler.set(change("other")),
        handler.set(AliasChange("n", "live", Expectation(), None, False, 1)),
        handler.roll_back(change(None, 1)),
        handler.delete(change()),
        handler.get("m", "live"),
        handler.list("n", page_size=0, page_token=""),
    ):
        with pytest.raises(NotFoundError):
            await call
    await handler.set(change(1))
    with acting_for("other"), pytest.raises(NotFoundError):
        await handler.get("m", "live")


async def test_one_of_many_callers_wins(handler: AliasHandler) -> None:
    await handler.set(change(1))
    calls = [handler.set(change(2 + number % 3, 1)) for number in range(12)]
    ended = await asyncio.gather(*calls, return_exceptions=True)
    won = [end for end in ended if isinstance(end, AliasRecord)]
    assert len(won) == 1
    assert sum(isinstance(end, ConflictError) for end in ended) == 11
    assert await handler.get("m", "live") == won[0]


async def test_rollbacks_undo_moves_one_after_the_other(handler: AliasHandler) -> None:
    await handler.set(change(1))
    await handler.set(change(2, 1))
    await handler.set(change(3, 2))
    back = await handler.roll_back(change(None, 3))
    assert (back.version, back.rollback_version, back.moves[0].is_rollback) == (2, 1, True)
    await handler.set(change(4, 2))
    for expected, version in ((4, 2), (2, 1)):
        back = await handler.roll_back(change(None, expected))
        assert back.version == version
    with pytest.raises(FailedPreconditionError) as caught:
        await handler.roll_back(change(None, 1))
    assert caught.value.reason == "ALIAS_NOTHING_TO_UNDO"
    assert [move.version for move in (await handler.get("m", "live")).moves] == [
        1,
        2,
        4,
        2,
        3,
        2,
        1,
    ]


@given(st.lists(st.one_of(st.none(), st.integers(1, 9)), max_size=aliases.MOST_MOVES))
@settings(max_examples=200)
def test_rollback_leads_where_a_stack_of_versions_does(calls: list[int | None]) -> None:
    """None stands for a rollback."""
    stack, moves = [1], (AliasMove(1, None, is_rollback=False, time=0),)
    for call in calls:
        record = AliasRecord("m", "live", stack[-1], "", 0, 0, moves)
        assert record.rollback_version == (stack[-2] if len(stack) > 1 else None)
        before = stack[-1]
        if call is not None:
            stack.append(call)
        elif len(stack) > 1:
            stack.pop()
        else:
            continue
        moves = (AliasMove(stack[-1], before, is_rollback=call is None, time=0), *moves)


async def test_history_is_bounded_and_says_who(handler: AliasHandler) -> None:
    token = CALLER.set(Principal("token-7", "default", frozenset()))
    await handler.set(change(1))
    CALLER.reset(token)
    version = 1
    for _ in range(aliases.MOST_MOVES - 1):
        await handler.set(change(3 - version, version))
        version = 3 - version
    found = await handler.get("m", "live")
    assert (len(found.moves), found.moves[-1].caller) == (aliases.MOST_MOVES, "token-7")
    moved = await handler.set(change(3, version))
    assert len(moved.moves) == aliases.MOST_MOVES
    assert moved.moves == (moved.moves[0], *found.moves[:-1])
    assert {move.caller for move in moved.moves} == {""}
    for expected in (3, 2, 1):  # what is left can still be undone
        moved = await handler.roll_back(change(None, expected))
    assert moved.version == 2


async def test_a_repeated_call_has_one_effect(handler: AliasHandler) -> None:
    made = await handler.set(change(1, request_id="a"))
    assert await handler.set(change(1, request_id="a")) == made
    await handler.set(change(2, 1, request_id="b"))
    assert (await handler.set(change(2, 1, request_id="b"))).version == 2
    assert len((await handler.get("m", "live")).moves) == 2
    with pytest.raises(RequestIdReusedError):
        await handler.set(change(3, 2, request_id="b"))
    await handler.delete(change(request_id="c"))
    await handler.delete(change(request_id="c"))


async def test_a_check_changes_nothing(handler: AliasHandler) -> None:
    foreseen = await handler.set(change(1, validate_only=True))
    assert (foreseen.version, foreseen.etag) == (1, "")
    with pytest.raises(NotFoundError):
        await handler.get("m", "live")
    made = await handler.set(change(1))
    foreseen = await handler.set(change(2, 1, validate_only=True, request_id="a"))
    assert (foreseen.version, foreseen.rollback_version) == (2, 1)
    await handler.delete(change(validate_only=True))
    assert await handler.get("m", "live") == made


async def test_an_alias_may_follow_another(handler: AliasHandler) -> None:
    await handler.set(change(3, alias="staging"))
    await handler.set(change("staging"))
    await handler.set(change(4, 3, alias="staging"))
    assert (await handler.get("m", "live")).version == 3


@pytest.mark.parametrize(
    ("version", "most", "measured"), [(3, 0.025, 0.025), (3, 0.5, 0.025), (4, 0.25, 0.25)]
)
async def test_a_version_that_shows_enough_is_promoted(
    handler: AliasHandler, version: int, most: float, measured: float
) -> None:
    moved = await handler.set(change(version, max_drop=most))
    assert moved.moves[0].measured_drop == pytest.approx(measured)
    assert moved.moves[0].max_drop == most


@pytest.mark.parametrize(
    ("version", "most", "reason", "words"),
    [
        (1, 1.0, "PROMOTION_NOT_MEASURED", "convert it again with an evaluation dataset"),
        (2, 1.0, "PROMOTION_NOT_MEASURED", "convert it again with an evaluation dataset"),
        (3, 0.02, "PROMOTION_REFUSED", "loses 0.0250 .* 0.005 more than the 0.02"),
        (4, 0.0, "PROMOTION_REFUSED", "loses 0.2500 .* 0.25 more than the 0 "),
    ],
)
async def test_a_version_that_does_not_is_refused(
    handler: AliasHandler, version: int, most: float, reason: str, words: str
) -> None:
    before = await handler.set(change(3))
    for validate_only in (True, False):
        with pytest.raises(FailedPreconditionError, match=words) as caught:
            await handler.set(change(version, 3, max_drop=most, validate_only=validate_only))
        assert caught.value.reason == reason
        assert caught.value.metadata["resource_name"] == f"models/m/versions/{version}"
    assert await handler.get("m", "live") == before


async def test_a_version_is_ready_before_the_alias_moves_and_the_other_goes_after(
    handler: AliasHandler, swaps: Swaps, database: Database
) -> None:
    await handler.set(change(1))
    await handler.set(change(2, 1))
    await handler.roll_back(change(None, 2))
    await handler.delete(change())
    assert swaps.asked == [
        *("ready 1 like None", "moved"),
        *("ready 2 like 1", "moved", "let go 1"),
        *("ready 1 like 2", "moved", "let go 2"),
        "let go 1",
    ]
    swaps.asked.clear()
    await database.write(lambda tx: models.mark_unloaded(tx, "m"))
    await handler.set(change(3))
    await handler.set(change(4, 3))
    assert swaps.asked == ["let go 3"]  # a model out of service is not loaded


async def test_what_is_refused_loads_nothing(handler: AliasHandler, swaps: Swaps) -> None:
    await handler.set(change(1, request_id="a"))
    swaps.asked.clear()
    await handler.set(change(1, request_id="a"))
    await handler.set(change(2, 1, validate_only=True))
    for refused in (change(2), change(2, 3), change(4, 1, max_drop=0.0)):
        with pytest.raises(SmidgenError):
            await handler.set(refused)
    assert swaps.asked == []


async def test_a_move_that_others_overtake_while_it_loads_is_refused(
    handler: AliasHandler, swaps: Swaps
) -> None:
    await handler.set(change(1))
    swaps.meanwhile = lambda: handler.set(change(3, 1))
    with pytest.raises(ConflictError, match="points at version 3"):
        await handler.set(change(2, 1))
    assert (await handler.get("m", "live")).version == 3


async def test_a_rollback_does_not_go_where_nobody_has_looked(
    handler: AliasHandler, swaps: Swaps
) -> None:
    """While version 1 is loaded the alias goes to 4 and back to 2: now it would go back to 4."""
    await handler.set(change(1))
    await handler.set(change(2, 1))

    async def there_and_back() -> None:
        await handler.set(change(4, 2))
        await handler.set(change(2, 4))

    swaps.meanwhile = there_and_back
    with pytest.raises(ConflictError, match="expected to go back to version 1"):
        await handler.roll_back(change(None, 2))
    assert (await handler.get("m", "live")).version == 2


async def test_an_alias_that_says_where_to_go_may_move_meanwhile(
    handler: AliasHandler, swaps: Swaps
) -> None:
    await handler.set(change(1, alias="staging"))
    swaps.meanwhile = lambda: handler.set(change(2, 1, alias="staging"))
    assert (await handler.set(change("staging"))).version == 1


async def test_lists_are_paged(handler: AliasHandler) -> None:
    for name in ("a", "b", "c"):
        await handler.set(change(1, alias=name))
    page = await handler.list("m", page_size=2, page_token="")
    assert [alias.id for alias in page.items] == ["c", "b"]
    page = await handler.list("m", page_size=2, page_token=page.next_token)
    assert ([alias.id for alias in page.items], page.next_token) == (["a"], "")


async def test_aliases_of_a_model_are_bounded(handler: AliasHandler) -> None:
    for number in range(MOST_ALIASES):
        await handler.set(change(1, alias=f"a{number}"))
    with pytest.raises(TooLargeError) as caught:
        await handler.set(change(1))
    assert caught.value.reason == "TOO_MANY_ALIASES"
    await handler.set(change(2, 1, alias="a0"))


async def test_a_version_stays_while_an_alias_points_at_it(
    handler: AliasHandler, database: Database
) -> None:
    await handler.set(change(1))
    with pytest.raises(FailedPreconditionError, match="models/m/aliases/live") as caught:
        await database.read(lambda tx: check_unnamed(tx, "m"))
    assert caught.value.metadata["alias"] == "models/m/aliases/live"
    with pytest.raises(sqlite3.IntegrityError):  # even past the handlers
        await database.write(lambda tx: models.delete(tx, "m"))
    await handler.delete(change())
    await database.write(lambda tx: models.delete(tx, "m"))


async def test_names_are_resolved_anew_after_a_move(
    handler: AliasHandler, database: Database
) -> None:
    versions = VersionResolver(database, Metrics(), BatchPolicy())
    await handler.set(change(1))
    assert (await versions.resolve("m", "live")).record.version == 1
    await handler.set(change(3, 1))
    assert (await versions.resolve("m", "live")).record.version == 3
    assert (await versions.resolve("m", None)).record.version == 4
    with pytest.raises(NotFoundError) as caught:
        await versions.resolve("m", "other")
    assert caught.value.reason == "ALIAS_NOT_FOUND"
