"""Resource names, `models/resnet/versions/3` and the like: made and taken apart here alone."""

from __future__ import annotations

import re
import uuid
from functools import lru_cache

from smidgen_service.errors import InvalidArgumentError

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
# Begins with a letter: Triton's clients name versions and aliases in the same field.
_ALIAS = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")

VersionChoice = int | str | None
"""Which version of a model is meant: a number, the id of an alias, or None for the newest."""


def model_name(model_id: str) -> str:
    """Returns `models/{model}`."""
    return f"models/{model_id}"


def version_name(model_id: str, version: int) -> str:
    """Returns `models/{model}/versions/{version}`."""
    return f"models/{model_id}/versions/{version}"


def alias_name(model_id: str, alias_id: str) -> str:
    """Returns `models/{model}/aliases/{alias}`."""
    return f"models/{model_id}/aliases/{alias_id}"


def dataset_name(dataset_id: str) -> str:
    """Returns `datasets/{dataset}`."""
    return f"datasets/{dataset_id}"


def calibration_name(calibration_id: str) -> str:
    """Returns `calibrations/{calibration}`."""
    return f"calibrations/{calibration_id}"


def job_name(job_id: str) -> str:
    """Returns `jobs/{job}`."""
    return f"jobs/{job_id}"


def upload_name(request_id: str) -> str:
    """Returns `uploads/{request_id}`."""
    return f"uploads/{request_id}"


def check_id(value: str, *, field: str) -> str:
    """Returns the id of a new resource.

    Raises:
        InvalidArgumentError: it has other characters or another length than ids have.
    """
    if not _ID.fullmatch(value):
        raise InvalidArgumentError(
            f"{field} is {_quote(value)}, expected 1 to 63 lower-case letters, digits "
            "and inner hyphens",
            field=field,
            reason="INVALID_ID",
        )
    return value


def is_alias_id(value: str) -> bool:
    """Tells whether an alias may have an id."""
    return _ALIAS.fullmatch(value) is not None


def check_request_id(value: str) -> str | None:
    """Returns a request_id in its canonical form, None where there is none.

    Raises:
        InvalidArgumentError: it is not a UUID.
    """
    if not value:
        return None
    try:
        return str(uuid.UUID(value))
    except ValueError:
        raise InvalidArgumentError(
            f"request_id is {_quote(value)}, expected a UUID",
            field="request_id",
            reason="INVALID_REQUEST_ID",
        ) from None


def check_sha256(value: str) -> str:
    """Returns a digest.

    Raises:
        InvalidArgumentError: it is not 64 lower-case hexadecimal digits.
    """
    if not _SHA256.fullmatch(value):
        raise InvalidArgumentError(
            f"sha256 is {_quote(value)}, expected 64 lower-case hexadecimal digits",
            field="sha256",
            reason="INVALID_SHA256",
        )
    return value


def parse_model(name: str, *, field: str = "name") -> str:
    """Returns the id in `models/{model}`."""
    return _parse(name, "models", field)


def parse_dataset(name: str, *, field: str = "name") -> str:
    """Returns the id in `datasets/{dataset}`."""
    return _parse(name, "datasets", field)


def parse_calibration(name: str, *, field: str = "name") -> str:
    """Returns the id in `calibrations/{calibration}`."""
    return _parse(name, "calibrations", field)


def parse_job(name: str, *, field: str = "name") -> str:
    """Returns the id in `jobs/{job}`."""
    return _parse(name, "jobs", field)


def parse_upload(name: str, *, field: str = "name") -> str:
    """Returns the request_id in `uploads/{request_id}`."""
    request_id = check_request_id(_parse(name, "uploads", field))
    assert request_id is not None  # an id of at least one character went in
    return request_id


def parse_version(name: str, *, field: str = "name") -> tuple[str, int]:
    """Returns model id and number in `models/{model}/versions/{version}`."""
    model_id, version = _parse_choice(name, _OF_VERSION, field)
    if not isinstance(version, int):
        raise _malformed(name, _OF_VERSION, field)
    return model_id, version


def parse_alias(name: str, *, field: str = "name") -> tuple[str, str]:
    """Returns the ids of model and alias in `models/{model}/aliases/{alias}`."""
    model_id, alias_id = _parse_choice(name, _OF_ALIAS, field)
    if not isinstance(alias_id, str):
        raise _malformed(name, _OF_ALIAS, field)
    return model_id, alias_id


def parse_version_or_alias(name: str, *, field: str = "name") -> tuple[str, int | str]:
    """Returns model id and number, or the id of an alias in place of the number."""
    expected = f"{_OF_VERSION} or {_OF_ALIAS}"
    model_id, choice = _parse_choice(name, expected, field)
    if choice is None:
        raise _malformed(name, expected, field)
    return model_id, choice


@lru_cache(maxsize=4096)  # of every inference
def parse_model_or_version(name: str, *, field: str = "name") -> tuple[str, VersionChoice]:
    """Returns model id and the version that is meant; None stands for the newest."""
    return _parse_choice(name, f"models/{{model}}, {_OF_VERSION} or {_OF_ALIAS}", field)


_OF_VERSION = "models/{model}/versions/{version}"
_OF_ALIAS = "models/{model}/aliases/{alias}"


def _parse_choice(name: str, expected: str, field: str) -> tuple[str, VersionChoice]:
    collection, _, rest = name.partition("/")
    model_id, separator, choice = rest.partition("/")
    if collection != "models" or not _ID.fullmatch(model_id):
        raise _malformed(name, expected, field)
    if not separator:
        return model_id, None
    kind, _, key = choice.partition("/")
    if kind == "versions" and _VERSION.fullmatch(key):
        return model_id, int(key)
    if kind == "aliases" and _ALIAS.fullmatch(key):
        return model_id, key
    raise _malformed(name, expected, field)


def _parse(name: str, collection: str, field: str) -> str:
    found, _, resource_id = name.partition("/")
    if found != collection or not _ID.fullmatch(resource_id):
        raise _malformed(name, f"{collection}/{{{collection.removesuffix('s')}}}", field)
    return resource_id


def _malformed(name: str, expected: str, field: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{field} is {_quote(name)}, expected {expected}; ids are lower-case letters, digits and "
        "inner hyphens, and those of aliases begin with a letter",
        field=field,
        reason="INVALID_NAME",
    )


def _quote(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:80] + "…")
