"""Aliases."""

from __future__ import annotations

from smidgen.v1 import model_service_pb2 as pb
from smidgen_service import names
from smidgen_service.converters.scalars import request_key, timestamp
from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.aliases import AliasChange, Expectation
from smidgen_service.names import VersionChoice
from smidgen_service.store.records import AliasMove, AliasRecord


def alias_change(message: pb.SetAliasRequest) -> AliasChange:
    """Returns what a call of SetAlias wants.

    Raises:
        InvalidArgumentError: a field breaks its rules.
    """
    model_id, alias_id = names.parse_alias(message.name)
    return AliasChange(
        model_id=model_id,
        alias_id=alias_id,
        version=_of_model(model_id, message.model_version, field="model_version"),
        expected=_expectation(model_id, message.expected_version, message.etag),
        max_drop=_max_drop(message.condition) if message.HasField("condition") else None,
        key=request_key("SetAlias", message, message.request_id),
        validate_only=message.validate_only,
    )


def alias_rollback(message: pb.RollbackAliasRequest) -> AliasChange:
    """Returns what a call of RollbackAlias wants.

    Raises:
        InvalidArgumentError: a field breaks its rules, or nothing is expected.
    """
    model_id, alias_id = names.parse_alias(message.name)
    expected = _expectation(model_id, message.expected_version, message.etag)
    if not expected.is_given:
        raise InvalidArgumentError(
            "neither expected_version nor etag is set; say where the alias is now, so that it is "
            "moved back once and not twice",
            field="expected_version",
            reason="EXPECTATION_MISSING",
        )
    return AliasChange(
        model_id=model_id,
        alias_id=alias_id,
        expected=expected,
        key=request_key("RollbackAlias", message, message.request_id),
        validate_only=message.validate_only,
    )


def alias_removal(message: pb.DeleteAliasRequest) -> AliasChange:
    """Returns what a call of DeleteAlias wants.

    Raises:
        InvalidArgumentError: a field breaks its rules.
    """
    model_id, alias_id = names.parse_alias(message.name)
    return AliasChange(
        model_id=model_id,
        alias_id=alias_id,
        expected=_expectation(model_id, message.expected_version, message.etag),
        key=request_key("DeleteAlias", message, message.request_id),
        validate_only=message.validate_only,
    )


def alias_to_message(alias: AliasRecord) -> pb.Alias:
    """Returns an alias as a message."""
    return pb.Alias(
        name=names.alias_name(alias.model_id, alias.id),
        model_version=names.version_name(alias.model_id, alias.version),
        etag=alias.etag,
        rollback_version=_version_name(alias.model_id, alias.rollback_version),
        create_time=timestamp(alias.create_time) if alias.create_time else None,
        update_time=timestamp(alias.update_time) if alias.update_time else None,
        moves=[_move_to_message(alias.model_id, move) for move in alias.moves],
    )


def _move_to_message(model_id: str, move: AliasMove) -> pb.AliasMove:
    max_drop = move.max_drop
    return pb.AliasMove(
        model_version=names.version_name(model_id, move.version),
        previous_version=_version_name(model_id, move.previous_version),
        is_rollback=move.is_rollback,
        time=timestamp(move.time),
        caller=move.caller,
        condition=pb.PromotionCondition(max_drop=max_drop) if max_drop is not None else None,
        measured_drop=move.measured_drop,
    )


def _version_name(model_id: str, version: int | None) -> str:
    return "" if version is None else names.version_name(model_id, version)


def _expectation(model_id: str, version: str, etag: str) -> Expectation:
    if version and etag:
        raise InvalidArgumentError(
            "expected_version and etag are both set; one of them says where the alias is",
            field="etag",
            reason="EXPECTATION_AMBIGUOUS",
        )
    if not version:
        return Expectation(etag=etag)
    found, number = names.parse_version(version, field="expected_version")
    _check_model(model_id, found, version, field="expected_version")
    return Expectation(version=number)


def _of_model(model_id: str, name: str, *, field: str) -> VersionChoice:
    found, version = names.parse_version_or_alias(name, field=field)
    _check_model(model_id, found, name, field=field)
    return version


def _check_model(model_id: str, found: str, name: str, *, field: str) -> None:
    if found != model_id:
        raise InvalidArgumentError(
            f"{field} is {name}, expected a version of {names.model_name(model_id)}, whose alias "
            "it is about",
            field=field,
            reason="VERSION_OF_OTHER_MODEL",
        )


def _max_drop(condition: pb.PromotionCondition) -> float:
    if not 0 <= condition.max_drop <= 1:
        raise InvalidArgumentError(
            f"max_drop is {condition.max_drop:g}, expected 0 to 1",
            field="condition.max_drop",
            reason="INVALID_MAX_DROP",
        )
    return condition.max_drop
