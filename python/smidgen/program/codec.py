"""Programs as plain JSON values, constants apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import ProgramError
from smidgen.program.steps import STEP_TYPES, Step
from smidgen.program.types import DType, Program, TensorInfo, WeightPacking
from smidgen.qparams import GROUP_SIZES

_STEP_TYPES_BY_NAME = {step_type.__name__: step_type for step_type in STEP_TYPES}


def program_to_document(program: Program) -> dict[str, Any]:
    """Returns everything but the constants as values that JSON can hold."""
    return {
        "inputs": list(program.inputs),
        "outputs": list(program.outputs),
        "tensors": [dataclasses.asdict(tensor) for tensor in program.tensors.values()],
        "steps": [
            {"op": type(step).__name__, **dataclasses.asdict(step)} for step in program.steps
        ],
        "lineage": dict(sorted(program.lineage.items())),
        "packing": {
            name: {"group_size": packing.group_size, "shape": list(program.constants[name].shape)}
            for name, packing in sorted(program.packing.items())
        },
    }


def program_from_document(
    document: dict[str, Any], constants: Mapping[str, NDArray[np.generic]]
) -> Program:
    """Rebuilds what program_to_document returned; `verify` must still look at the result.

    Args:
        document: The document.
        constants: The constants, those that are packed in a file unpacked.

    Raises:
        ProgramError: the document has another form.
    """
    packed = packed_weights(document)
    try:
        _expect_keys(
            document,
            {"inputs", "outputs", "tensors", "steps", "lineage", "packing"},
            optional={"packing"},  # which files before version 3 lack
        )
        tensors = [_decode_tensor(entry) for entry in document["tensors"]]
        program = Program(
            inputs=_texts(document["inputs"]),
            outputs=_texts(document["outputs"]),
            tensors={tensor.name: tensor for tensor in tensors},
            steps=tuple(_decode_step(entry) for entry in document["steps"]),
            constants=dict(constants),
            lineage={_text(k): _text(v) for k, v in document["lineage"].items()},
            packing={name: packing for name, (packing, _) in packed.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ProgramError(f"the program's JSON has another form than expected: {error}") from error
    if len(program.tensors) != len(tensors):
        raise ProgramError("two tensors share one name")
    return program


def packed_weights(
    document: dict[str, Any],
) -> Mapping[str, tuple[WeightPacking, tuple[int, ...]]]:
    """Returns which constants a file holds packed, and their shapes as int8.

    Raises:
        ProgramError: the document has another form.
    """
    try:
        return {
            _text(name): _decode_packing(entry)
            for name, entry in document.get("packing", {}).items()
        }
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ProgramError(f"the program's packing has another form than expected: {error}") from (
            error
        )


def _decode_packing(entry: dict[str, Any]) -> tuple[WeightPacking, tuple[int, ...]]:
    _expect_keys(entry, {"group_size", "shape"})
    group_size, shape = _integer(entry["group_size"]), _tuple(_integer)(entry["shape"])
    if group_size not in GROUP_SIZES:
        raise ValueError(f"found groups of {group_size}, expected {GROUP_SIZES}")
    if not len(shape) >= 2 or min(shape) < 1:
        raise ValueError(f"found the shape {list(shape)[:8]}, expected [O, ...]")
    return WeightPacking(group_size), shape


def _decode_tensor(entry: dict[str, Any]) -> TensorInfo:
    _expect_keys(entry, {field.name for field in dataclasses.fields(TensorInfo)})
    scale = entry["scale"]
    return TensorInfo(
        name=_text(entry["name"]),
        dtype=DType(entry["dtype"]),
        shape=tuple(None if n is None else _integer(n) for n in entry["shape"]),
        scale=None if scale is None else _number(scale),
        zero_point=_integer(entry["zero_point"]),
    )


def _decode_step(entry: dict[str, Any]) -> Step:
    step_type = _STEP_TYPES_BY_NAME[entry["op"]]
    fields = {field.name: field for field in dataclasses.fields(step_type)}
    # Files of earlier format versions lack what their classes have gained since.
    newer = {name for name, field in fields.items() if "since" in field.metadata}
    _expect_keys(entry, {"op", *fields}, optional=newer)
    return step_type(
        **{
            name: _FIELD_DECODERS[str(field.type)](entry[name])
            for name, field in fields.items()
            if name in entry
        }
    )


def _expect_keys(
    document: dict[str, Any], keys: set[str], *, optional: Collection[str] = ()
) -> None:
    if document.keys() | optional != keys:
        raise ValueError(f"found the keys {sorted(document)}, expected {sorted(keys)}")


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"found {value!r:.40}, expected text")
    return value


def _flag(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"found {value!r:.40}, expected true or false")
    return value


def _integer(value: object) -> int:
    # bool is an int in Python, and a JSON true must not pass for 1; beyond int32 nothing is valid.
    if not isinstance(value, int) or isinstance(value, bool) or abs(value) >= 2**31:
        raise TypeError(f"found {value!r:.40}, expected an int32")
    return value


def _number(value: object) -> float:
    # Python's integers have any size, and the largest do not fit into a float.
    if isinstance(value, int):
        return float(_integer(value))
    if not isinstance(value, float):
        raise TypeError(f"found {value!r:.40}, expected a number")
    return value


def _tuple(decode_entry: Callable[[object], Any], count: int | None = None) -> Any:
    def decode(value: object) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or (count is not None and len(value) != count):
            raise TypeError(f"found {value!r:.40}, expected a list of {count or 'some'} values")
        return tuple(decode_entry(entry) for entry in value)

    return decode


def _optional(decode_value: Callable[[object], Any]) -> Any:
    return lambda value: None if value is None else decode_value(value)


_texts = _tuple(_text)

# Keyed by the annotations in steps/; a step with a new kind of field needs a row here.
_FIELD_DECODERS: dict[str, Any] = {
    "TensorName": _text,
    "ConstantName": _text,
    "TensorName | None": _optional(_text),
    "ConstantName | None": _optional(_text),
    "tuple[TensorName, ...]": _texts,
    "str": _text,
    "int": _integer,
    "float": _number,
    "bool": _flag,
    "IntPair": _tuple(_integer, 2),
    "Padding": _tuple(_integer, 4),
    "tuple[int, ...]": _tuple(_integer),
    "tuple[float, ...]": _tuple(_number),
    "tuple[IntPair, ...]": _tuple(_tuple(_integer, 2)),
}
