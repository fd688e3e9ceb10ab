"""Errors in the words that Triton has for them, which its users search for.

Code, reason and details of an error stay what they are everywhere else; of the message, what is
found and expected is said in the other server's way.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

from smidgen.errors import SmidgenError
from smidgen_service.converters.open_inference.datatypes import BY_DTYPE

_Wording = Callable[[SmidgenError, str], str]


def tritons_words(model_name: str = "") -> AbstractContextManager[None]:
    """Raises errors of a block in Triton's words for this model, if they are about one."""
    return _TritonsWords(model_name)


class _TritonsWords(AbstractContextManager[None]):
    __slots__ = ("_model_name",)

    def __init__(self, model_name: str) -> None:
        self._model_name = model_name

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, SmidgenError):
            reworded = in_tritons_words(error, self._model_name)
            if reworded is not error:
                raise reworded from error


def in_tritons_words(error: SmidgenError, model_name: str) -> SmidgenError:
    """Returns the error in Triton's words, or as it is where Triton has none."""
    wording = _WORDINGS.get(error.reason)
    return error if wording is None else error.reworded(wording(error, model_name[:80]))


def _unknown_model(error: SmidgenError, model: str) -> str:
    return f"Request for unknown model: '{model}' is not found"


def _unknown_version(error: SmidgenError, model: str) -> str:
    version = error.metadata["resource_name"].rpartition("/")[2]
    return f"Request for unknown model: '{model}' version {version} is not found"


def _not_converted(error: SmidgenError, model: str) -> str:
    return (
        f"Request for unknown model: '{model}' has no available versions; calibrate and convert "
        "it first"
    )


def _unloaded(error: SmidgenError, model: str) -> str:
    return f"Request for unknown model: '{model}' is not at ready state; load it first"


def _inputs_missing(error: SmidgenError, model: str) -> str:
    given = [name for name in error.metadata["given"].split(", ") if name]
    missing = error.metadata["missing"].split(", ")
    return (
        f"expected {len(given) + len(missing)} inputs but got {len(given)} inputs for model "
        f"'{model}'. Got input(s) {_listed(given)}, but missing required input(s) "
        f"{_listed(missing)}. Please provide all required input(s)."
    )


def _input_unknown(error: SmidgenError, model: str) -> str:
    return (
        f"unexpected inference input '{error.metadata['tensor']}' for model '{model}': "
        f"{error.message}"
    )


def _output_unknown(error: SmidgenError, model: str) -> str:
    return (
        f"unexpected inference output '{error.metadata['output']}' for model '{model}': "
        f"{error.message}"
    )


def _other_shape(error: SmidgenError, model: str) -> str:
    tensor, found = error.metadata.get("tensor"), error.metadata.get("found")
    expected = error.metadata.get("expected")
    if tensor is None or found is None or expected is None:
        return error.message
    return (
        f"unexpected shape for input '{tensor}' for model '{model}'. Expected "
        f"{_extents(expected)}, got {_extents(found)}"
    )


def _other_type(error: SmidgenError, model: str) -> str:
    return (
        f"inference input '{error.metadata['tensor']}' data-type is "
        f"'{_datatype(error.metadata['found'])}', but model '{model}' expects "
        f"'{_datatype(error.metadata['expected'])}'"
    )


def _other_length(error: SmidgenError, model: str) -> str:
    return (
        f"input byte size mismatch for input '{error.metadata['tensor']}' for model '{model}'. "
        f"Expected {error.metadata['expected']}, got {error.metadata['found']}"
    )


def _contents_and_raw(error: SmidgenError, model: str) -> str:
    return (
        "contents field must not be specified when using raw_input_contents for "
        f"'{error.metadata['tensor']}' for model '{model}'"
    )


def _contents_of_other_type(error: SmidgenError, model: str) -> str:
    return (
        f"unexpected explicit tensor data for input tensor '{error.metadata['tensor']}' for model "
        f"'{model}': {error.message}"
    )


def _queue_full(error: SmidgenError, model: str) -> str:
    return f"Exceeds maximum queue size: {error.message}"


def _late(error: SmidgenError, model: str) -> str:
    return f"Request timeout expired: {error.message}"


def _not_ready(error: SmidgenError, model: str) -> str:
    return f"Server not ready: {error.message}"


_WORDINGS: Mapping[str, _Wording] = {
    "MODEL_NOT_FOUND": _unknown_model,
    "MODEL_VERSION_NOT_FOUND": _unknown_version,
    "ALIAS_NOT_FOUND": _unknown_version,
    "MODEL_NOT_CONVERTED": _not_converted,
    "MODEL_UNLOADED": _unloaded,
    "INPUT_MISSING": _inputs_missing,
    "INPUT_UNKNOWN": _input_unknown,
    "OUTPUT_UNKNOWN": _output_unknown,
    "TENSOR_SHAPE_MISMATCH": _other_shape,
    "TENSOR_DTYPE_MISMATCH": _other_type,
    "TENSOR_LENGTH_MISMATCH": _other_length,
    "CONTENTS_AND_RAW": _contents_and_raw,
    "CONTENTS_OF_OTHER_TYPE": _contents_of_other_type,
    "QUEUE_FULL": _queue_full,
    "DEADLINE_EXCEEDED": _late,
    "SERVER_STARTING": _not_ready,
    "SERVER_DRAINING": _not_ready,
}


def _listed(names: list[str]) -> str:
    return "[" + ",".join(f"'{name}'" for name in names) + "]"


def _extents(shape: str) -> str:
    return shape.replace("?", "-1").replace(" ", "")


def _datatype(dtype: str) -> str:
    known = BY_DTYPE.get(dtype)
    return known.name if known is not None else dtype
