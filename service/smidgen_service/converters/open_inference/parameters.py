"""Parameters of requests, inputs and outputs: the few that have a meaning, and those refused."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen_service.errors import InvalidArgumentError, UnsupportedRequestError
from smidgen_service.open_inference import inference_service_pb2 as pb

Parameters = Mapping[str, pb.InferParameter]
_RESERVED_PREFIX = "triton_"
_KNOWN_RESERVED = "triton_enable_empty_final_response"
_SHARED_MEMORY_PREFIX = "shared_memory_"
_INTEGERS = ("int64_param", "uint64_param")


def timeout_s(parameters: Parameters) -> float | None:
    """Returns the seconds that a request may wait, None for no limit; refuses reserved names.

    Raises:
        InvalidArgumentError: `timeout` is no integer, or a name is reserved.
    """
    for key in parameters:
        if key.startswith(_RESERVED_PREFIX) and key != _KNOWN_RESERVED:
            raise InvalidArgumentError(
                f"parameter keys starting with '{_RESERVED_PREFIX}' are reserved, found "
                f"{key[:80]!r}; choose another name",
                field="parameters",
                reason="PARAMETER_RESERVED",
            )
    if "timeout" not in parameters:
        return None
    microseconds = _integer(parameters["timeout"], "timeout", least=0)
    # 0 is what clients send for no limit.
    return microseconds / 1e6 if microseconds else None


def refuse_shared_memory(parameters: Parameters, tensor: str) -> None:
    """Refuses values that are to be read from, or written to, memory shared with the client.

    Raises:
        UnsupportedRequestError: the parameters name such memory.
    """
    if any(key.startswith(_SHARED_MEMORY_PREFIX) for key in parameters):
        raise shared_memory_unsupported(tensor=tensor[:80])


def shared_memory_unsupported(**metadata: str) -> UnsupportedRequestError:
    """Returns the error for every use of shared memory."""
    return UnsupportedRequestError(
        "the server does not support shared memory; send and receive values in the messages",
        reason="SHARED_MEMORY_UNSUPPORTED",
        **metadata,
    )


def class_count(parameters: Parameters, tensor: str) -> int | None:
    """Returns how many classes of an output are asked for, None for the output itself.

    Raises:
        InvalidArgumentError: it is no number of classes.
        UnsupportedRequestError: the parameters name shared memory.
    """
    refuse_shared_memory(parameters, tensor)
    if "classification" not in parameters:
        return None
    return _integer(parameters["classification"], "classification", least=1)


def _integer(parameter: pb.InferParameter, name: str, *, least: int) -> int:
    kind = parameter.WhichOneof("parameter_choice")
    value = getattr(parameter, kind) if kind in _INTEGERS else None
    if value is None or value < least:
        found = f"a {kind}" if value is None else str(value)
        raise InvalidArgumentError(
            f"invalid value for {name!r} parameter: found {found}, expected an int64_param of at "
            f"least {least}",
            field="parameters",
            reason="PARAMETER_INVALID",
        )
    return int(value)
