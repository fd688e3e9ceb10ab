"""Resource names: ids that people type become the names that the server knows."""

from __future__ import annotations


def model_name(model: str) -> str:
    """Completes a model's name.

    >>> model_name("digits"), model_name("digits/versions/2"), model_name("models/digits")
    ('models/digits', 'models/digits/versions/2', 'models/digits')
    """
    return _complete("models", model)


def version_name(model: str, version: int | None) -> str:
    """Completes the name of a model's version; None means the newest.

    >>> version_name("digits", 2), version_name("digits", None)
    ('models/digits/versions/2', 'models/digits')
    """
    name = model_name(model)
    return name if version is None else f"{name}/versions/{version}"


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
