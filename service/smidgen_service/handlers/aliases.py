"""Aliases: names that move from version to version, and only from where the caller expects them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace

from smidgen_service import names
from smidgen_service.clock import Clock
from smidgen_service.errors import (
    ConflictError,
    FailedPreconditionError,
    NotFoundError,
    TooLargeError,
)
from smidgen_service.handlers.promotion import measured_drop
from smidgen_service.handlers.swapping import Swapper
from smidgen_service.handlers.versions import resolve_version
from smidgen_service.logs import log
from smidgen_service.names import VersionChoice
from smidgen_service.security.principals import CALLER
from smidgen_service.store import aliases, idempotency, models
from smidgen_service.store.database import Database
from smidgen_service.store.idempotency import RequestKey
from smidgen_service.store.paging import Page, PageTokens
from smidgen_service.store.records import AliasMove, AliasRecord, VersionRecord

MOST_ALIASES = 64
"""Aliases of one model."""


@dataclass(frozen=True, slots=True)
class Expectation:
    """Where a caller takes an alias to be.

    Attributes:
        version: The version; None for any.
        etag: What the alias shows since its last move; empty for any.
    """

    version: int | None = None
    etag: str = ""

    @property
    def is_given(self) -> bool:
        """Whether anything is expected."""
        return self.version is not None or bool(self.etag)

    def check(self, found: AliasRecord) -> None:
        """Refuses to touch an alias that others have moved meanwhile.

        Raises:
            ConflictError: it is somewhere else.
        """
        if self.version not in (None, found.version) or (self.etag and self.etag != found.etag):
            raise _moved(found, str(self.version) if self.version is not None else self.etag)


@dataclass(frozen=True, slots=True)
class AliasChange:
    """What one call wants of an alias.

    Attributes:
        version: Where it shall point; None for where it came from, or nowhere.
        expected: Where it is.
        max_drop: Most accuracy that the version may lose, 0 to 1; None for no such condition.
        key: Makes repeated calls known.
        validate_only: Whether to check only.
    """

    model_id: str
    alias_id: str
    expected: Expectation
    key: RequestKey | None
    validate_only: bool
    version: VersionChoice = None
    max_drop: float | None = None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is allowed as things are now.

    Attributes:
        alias: The alias; None where it is new.
        target: Where it shall point.
        source: Where it points; None where it is new.
        is_served: Whether the model takes requests.
        move: What leads there; None where it points there already.
    """

    alias: AliasRecord | None
    target: VersionRecord
    source: VersionRecord | None
    is_served: bool
    move: AliasMove | None

    def foreseen(self, change: AliasChange) -> AliasRecord:
        """Returns the alias as it would be; etag and times come with the move."""
        found = self.alias or AliasRecord(change.model_id, change.alias_id, 0, "", 0, 0)
        if self.move is None:
            return found
        moves = (self.move, *found.moves)[: aliases.MOST_MOVES]
        return replace(found, version=self.move.version, etag="", update_time=0, moves=moves)

    def carry_out(self, tx: sqlite3.Connection, change: AliasChange, *, now: int) -> AliasRecord:
        """Writes the move and returns the alias."""
        moved = self.alias
        if self.move is not None:
            moved = aliases.move(tx, change.model_id, change.alias_id, self.move)
        assert moved is not None  # what is not there cannot point anywhere already
        idempotency.record(tx, change.key, _name(change), now=now)
        return moved


class AliasHandler:
    """What ModelService does with aliases."""

    def __init__(
        self, database: Database, tokens: PageTokens, swapper: Swapper, *, clock: Clock
    ) -> None:
        self._database = database
        self._swapper = swapper
        self._tokens = tokens
        self._clock = clock

    async def get(self, model_id: str, alias_id: str) -> AliasRecord:
        """Returns an alias.

        Raises:
            NotFoundError: there is no such model or alias.
        """
        return await self._database.read(lambda tx: _existing(tx, model_id, alias_id))

    async def list(self, model_id: str, *, page_size: int, page_token: str) -> Page[AliasRecord]:
        """Returns a page of a model's aliases.

        Raises:
            NotFoundError: there is no such model.
        """
        collection = names.model_name(model_id) + "/aliases"
        request = self._tokens.request(collection, page_size=page_size, page_token=page_token)
        await self._database.read(lambda tx: models.get(tx, model_id))
        part = await self._database.read(lambda tx: aliases.select(tx, model_id, request))
        return self._tokens.page(collection, part)

    async def set(self, change: AliasChange) -> AliasRecord:
        """Makes an alias, or moves it.

        Raises:
            NotFoundError: there is no such model or version, or no alias that could be there.
            ConflictError: the alias is not where it is expected.
            FailedPreconditionError: the version does not meet the condition.
            TooLargeError: the model has as many aliases as it may.
        """
        return await self._move(change, is_rollback=False)

    async def roll_back(self, change: AliasChange) -> AliasRecord:
        """Moves an alias back to where it was before the last move that was not undone.

        Raises:
            NotFoundError: there is no such model or alias.
            ConflictError: the alias is not where it is expected.
            FailedPreconditionError: there is nothing to undo.
        """
        return await self._move(change, is_rollback=True)

    async def delete(self, change: AliasChange) -> None:
        """Removes an alias.

        Raises:
            NotFoundError: there is no such model or alias.
            ConflictError: the alias is not where it is expected.
        """

        def work(tx: sqlite3.Connection) -> VersionRecord | None:
            if idempotency.find(tx, change.key) is not None:
                return None
            found = _existing(tx, change.model_id, change.alias_id)
            change.expected.check(found)
            if change.validate_only:
                return None
            aliases.delete(tx, change.model_id, change.alias_id)
            idempotency.record(tx, change.key, _name(change), now=self._clock())
            return models.get_version(tx, change.model_id, found.version)

        left = await self._database.write_reserved(work)
        if left is not None:
            log("alias_deleted", alias=_name(change), version=left.version, caller=_caller())
            await self._swapper.let_go([left.sha256])

    async def _move(self, change: AliasChange, *, is_rollback: bool) -> AliasRecord:
        def look(tx: sqlite3.Connection) -> _Plan | None:
            if idempotency.find(tx, change.key) is not None:
                return None
            return self._plan(tx, change, is_rollback=is_rollback)

        plan = await self._database.read(look)
        if plan is None:
            return await self.get(change.model_id, change.alias_id)
        if change.validate_only:
            return plan.foreseen(change)
        # Where it goes is settled by now, even if another alias that said so has moved.
        settled = change if is_rollback else replace(change, version=plan.target.version)
        if plan.is_served:
            async with self._swapper.ready(plan.target, like=plan.source):
                moved = await self._write(settled, plan, is_rollback=is_rollback)
        else:
            moved = await self._write(settled, plan, is_rollback=is_rollback)
        if plan.move is not None:
            _log_move(change, moved)
        if plan.source is not None:
            await self._swapper.let_go([plan.source.sha256])
        return moved

    async def _write(self, change: AliasChange, plan: _Plan, *, is_rollback: bool) -> AliasRecord:
        """Makes a move if it still leads where the plan says."""

        def work(tx: sqlite3.Connection) -> AliasRecord:
            if idempotency.find(tx, change.key) is not None:
                return _existing(tx, change.model_id, change.alias_id)
            again = self._plan(tx, change, is_rollback=is_rollback)
            if again.target.version != plan.target.version and again.alias is not None:
                raise _moved(again.alias, f"to go back to version {plan.target.version}")
            return again.carry_out(tx, change, now=self._clock())

        return await self._database.write_reserved(work)

    def _plan(self, tx: sqlite3.Connection, change: AliasChange, *, is_rollback: bool) -> _Plan:
        """Checks that a move may be made as things are in this transaction."""
        models.get(tx, change.model_id)
        found = aliases.find(tx, change.model_id, change.alias_id)
        _check_place(tx, change, found)
        goal = _rollback_goal(found) if found is not None and is_rollback else change.version
        target = resolve_version(tx, change.model_id, goal)
        drop = None
        if change.max_drop is not None:
            drop = measured_drop(target, most=change.max_drop)
        source, is_served = None, not models.is_unloaded(tx, change.model_id)
        if found is not None:
            source = models.get_version(tx, change.model_id, found.version)
            if found.version == target.version:
                return _Plan(found, target, source, is_served, None)
        move = AliasMove(
            version=target.version,
            previous_version=found.version if found is not None else None,
            is_rollback=is_rollback,
            time=self._clock(),
            caller=_caller(),
            max_drop=change.max_drop,
            measured_drop=drop,
        )
        return _Plan(found, target, source, is_served, move)


def _check_place(tx: sqlite3.Connection, change: AliasChange, found: AliasRecord | None) -> None:
    """Compares where an alias is with where it is expected."""
    if found is not None:
        if not change.expected.is_given:
            raise _moved(found, "none")
        change.expected.check(found)
        return
    if change.expected.is_given:
        raise NotFoundError("alias", _name(change))
    count = len(aliases.names_of(tx, change.model_id))
    if count >= MOST_ALIASES:
        raise TooLargeError(
            f"{names.model_name(change.model_id)} has {count} aliases and may have "
            f"{MOST_ALIASES}; delete one that is not needed",
            reason="TOO_MANY_ALIASES",
            found=count,
            most=MOST_ALIASES,
        )


def _rollback_goal(alias: AliasRecord) -> int:
    goal = alias.rollback_version
    if goal is None:
        name = names.alias_name(alias.model_id, alias.id)
        raise FailedPreconditionError(
            f"{name} points at version {alias.version}, and no earlier move is left to undo; set "
            "it to the version that you want",
            reason="ALIAS_NOTHING_TO_UNDO",
            resource_name=name,
            found=alias.version,
        )
    return goal


def _existing(tx: sqlite3.Connection, model_id: str, alias_id: str) -> AliasRecord:
    models.get(tx, model_id)
    return aliases.get(tx, model_id, alias_id)


def _moved(found: AliasRecord, expected: str) -> ConflictError:
    name = names.alias_name(found.model_id, found.id)
    return ConflictError(
        f"{name} points at version {found.version} with etag {found.etag}, expected "
        f"{expected[:40]}; read it again and decide anew",
        reason="ALIAS_MOVED",
        resource_name=name,
        found=found.version,
        etag=found.etag,
        expected=expected,
    )


def _log_move(change: AliasChange, moved: AliasRecord) -> None:
    log(
        "alias_moved",
        alias=_name(change),
        version=moved.version,
        previous_version=moved.moves[0].previous_version,
        is_rollback=moved.moves[0].is_rollback,
        caller=_caller(),
    )


def _name(change: AliasChange) -> str:
    return names.alias_name(change.model_id, change.alias_id)


def _caller() -> str:
    principal = CALLER.get()
    return principal.name if principal is not None else ""
