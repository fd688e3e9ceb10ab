"""Resource names, `models/resnet/versions/3` and the like: made and taken apart here alone."""

from __future__ import annotations

import re
import uuid

from smidgen_service.errors import InvalidArgumentError

_ID = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_VERSION = re.compile(r"[1-9][0-9]{0,8}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def model_name(model_id: str) -> str:
    """Returns `models/{model}`."""
    return f"models/{model_id}"


def version_name(model_id: str, version: int) -> str:
    """Returns `models/{model}/versions/{version}`."""
    return f"models/{model_id}/versions/{version}"


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
    model_id, version = parse_model_or_version(name, field=field)
    if version is None:
        raise _malformed(name, "models/{model}/versions/{version}", field)
    return model_id, version


def parse_model_or_version(name: str, *, field: str = "name") -> tuple[str, int | None]:
    """Returns model id and number; None stands for the newest version."""
    model, separator, version = name.partition("/versions/")
    expected = "models/{model} or models/{model}/versions/{version}"
    collection, _, model_id = model.partition("/")
    if collection != "models" or not _ID.fullmatch(model_id):
        raise _malformed(name, expected, field)
    if not separator:
        return model_id, None
    if not _VERSION.fullmatch(version):
        raise _malformed(name, expected, field)
    return model_id, int(version)


def _parse(name: str, collection: str, field: str) -> str:
    found, _, resource_id = name.partition("/")
    if found != collection or not _ID.fullmatch(resource_id):
        raise _malformed(name, f"{collection}/{{{collection.removesuffix('s')}}}", field)
    return resource_id


def _malformed(name: str, expected: str, field: str) -> InvalidArgumentError:
    return InvalidArgumentError(
        f"{field} is {_quote(name)}, expected {expected}; ids are lower-case letters, digits and "
        "inner hyphens",
        field=field,
        reason="INVALID_NAME",
    )


def _quote(value: str) -> str:
    return repr(value if len(value) <= 80 else value[:80] + "…")
