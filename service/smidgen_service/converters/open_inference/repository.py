"""Requests to list, load and unload models."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from smidgen.errors import SmidgenError
from smidgen_service.errors import UnsupportedRequestError
from smidgen_service.open_inference import inference_service_pb2 as pb

_UNLOAD_DEPENDENTS = "unload_dependents"
_LOADING: Mapping[str, str] = {
    "MODEL_NOT_FOUND": "failed to poll from model repository",
    "MODEL_NOT_CONVERTED": "no version is available",
}


def check_one_repository(repository_name: str) -> None:
    """Refuses names of repositories: there is one, without a name.

    Raises:
        UnsupportedRequestError: there is a name.
    """
    if repository_name:
        raise UnsupportedRequestError(
            "'repository_name' specification is not supported; leave it empty",
            reason="REPOSITORY_UNSUPPORTED",
        )


def check_load(request: pb.RepositoryModelLoadRequest) -> None:
    """Refuses configurations and files, and whatever else comes with a request to load.

    Raises:
        UnsupportedRequestError: there is a repository's name or a parameter.
    """
    check_one_repository(request.repository_name)
    for name in request.parameters:
        raise _unsupported(name, "upload models with smidgen.v1.ModelService")


def check_unload(request: pb.RepositoryModelUnloadRequest) -> None:
    """Refuses parameters other than unload_dependents; no model has dependents.

    Raises:
        UnsupportedRequestError: there is a repository's name or another parameter.
    """
    check_one_repository(request.repository_name)
    for name, value in request.parameters.items():
        if name != _UNLOAD_DEPENDENTS or value.WhichOneof("parameter_choice") != "bool_param":
            raise _unsupported(name, f"expected {_UNLOAD_DEPENDENTS}, a bool_param, or none")


@contextmanager
def loading_words(model_name: str) -> Iterator[None]:
    """Raises errors of the block in Triton's words for a model that cannot be loaded."""
    try:
        yield
    except SmidgenError as error:
        words = _LOADING.get(error.reason)
        if words is None:
            raise
        message = f"failed to load '{model_name[:80]}', {words}: {error.message}"
        raise error.reworded(message) from error


def _unsupported(name: str, remedy: str) -> UnsupportedRequestError:
    return UnsupportedRequestError(
        f"the parameter {name[:80]!r} is not supported; {remedy}",
        reason="REPOSITORY_PARAMETER_UNSUPPORTED",
        parameter=name[:80],
    )
