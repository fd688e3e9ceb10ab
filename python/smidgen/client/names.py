"""Resource names: ids that people type become the names that the server knows."""

from __future__ import annotations


def model_name(model: str) -> str:
    """Completes a model's name.

    >>> model_name("digits"), model_name("digits/versions/2"), model_name("models/digits")
    ('models/digits', 'models/digits/versions/2', 'models/digits')
    """
    return _complete("models", model)


def version_name(model: str, version: int | str | None) -> str:
    """Completes the name of a model's version; None means the newest, other text an alias.

    >>> version_name("digits", 2), version_name("digits", "2"), version_name("digits", None)
    ('models/digits/versions/2', 'models/digits/versions/2', 'models/digits')
    >>> version_name("digits", "production")
    'models/digits/aliases/production'
    """
    name = model_name(model)
    if version is None:
        return name
    text = str(version)
    return f"{name}/versions/{text}" if text.isdecimal() else alias_name(model, text)


def alias_name(model: str, alias: str) -> str:
    """Completes an alias's name.

    >>> alias_name("digits", "live"), alias_name("", "models/digits/aliases/live")
    ('models/digits/aliases/live', 'models/digits/aliases/live')
    """
    return alias if alias.startswith("models/") else f"{model_name(model)}/aliases/{alias}"


def dataset_name(dataset: str) -> str:
    """Completes a dataset's name."""
    return _complete("datasets", dataset)


def calibration_name(calibration: str) -> str:
    """Completes a calibration's name."""
    return _complete("calibrations", calibration)


def job_name(job: str) -> str:
    """Completes a job's name."""
    return _complete("jobs", job)


def _complete(collection: str, name: str) -> str:
    return name if name.startswith(f"{collection}/") else f"{collection}/{name}"
