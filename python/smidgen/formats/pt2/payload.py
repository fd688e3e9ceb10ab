"""Weights as read-only numpy views of the mapped file."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import DTypeLike, NDArray

from smidgen.formats.limits import Limits
from smidgen.formats.pt2.reasons import Pt2Reason
from smidgen.formats.pt2.records import Extent, Payload, TensorMeta
from smidgen.formats.refusal import refusal

Weight = NDArray[np.generic]

# The serializer's own numbers of element types, not those of c10. numpy lacks bfloat16, whose bits
# are kept.
DTYPES: Mapping[int, tuple[str, DTypeLike]] = {
    1: ("uint8", "<u1"), 2: ("int8", "<i1"), 3: ("int16", "<i2"), 4: ("int32", "<i4"),
    5: ("int64", "<i8"), 6: ("float16", "<f2"), 7: ("float32", "<f4"), 8: ("float64", "<f8"),
    12: ("bool", "?"), 13: ("bfloat16", "<u2"),
}  # fmt: skip
FLOAT32 = 7
STRIDED = 7

_WEIGHT_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.]{0,511}")


def read_weights(
    payloads: Mapping[str, Payload],
    records: Mapping[str, memoryview],
    *,
    prefix: str,
    limits: Limits,
) -> dict[str, Weight]:
    """Makes one view for each row of a weight table.

    Args:
        payloads: The rows by name.
        records: The bytes of each record by its name; all of them must be used.
        prefix: What record names start with: `weight_` or `tensor_`.
        limits: Caps.
    """
    weights: dict[str, Weight] = {}
    dtypes: dict[str, int] = {}
    logical: dict[str, int] = {}
    for name, payload in payloads.items():
        meta = _check_row(name, payload, records, prefix)
        record_name = payload.path_name
        if dtypes.setdefault(record_name, meta.dtype) != meta.dtype:
            found = f"the record {record_name!r} is used with two element types."
            raise refusal(Pt2Reason.WEIGHT_RECORD_MISMATCH, found)
        view = _view(name, meta, records[record_name], limits)
        logical[record_name] = logical.get(record_name, 0) + view.nbytes
        weights[name] = view
    _check_totals(records, logical, limits)
    return weights


def _check_row(
    name: str, payload: Payload, records: Mapping[str, memoryview], prefix: str
) -> TensorMeta:
    if not _WEIGHT_NAME.fullmatch(name):
        raise refusal(Pt2Reason.BAD_NAME, f"a weight has the name {name[:64]!r}.")
    if payload.use_pickle:
        raise refusal(
            Pt2Reason.PICKLE_FORBIDDEN,
            f"the weight {name!r} is stored as a pickle, which could run code. "
            "Save the model with plain tensors as weights.",
        )
    if not re.fullmatch(prefix + r"[0-9]{1,9}", payload.path_name):
        found = f"the weight {name!r} is in {payload.path_name[:64]!r}, expected {prefix}<number>."
        raise refusal(Pt2Reason.BAD_WEIGHT, found)
    if payload.path_name not in records:
        found = f"the weight {name!r} is in {payload.path_name!r}, which the archive lacks."
        raise refusal(Pt2Reason.WEIGHT_RECORD_MISMATCH, found)
    if payload.tensor_meta is None:
        raise refusal(Pt2Reason.BAD_WEIGHT, f"the weight {name!r} has no tensor_meta.")
    return payload.tensor_meta


def _view(name: str, meta: TensorMeta, record: memoryview, limits: Limits) -> Weight:
    if meta.dtype not in DTYPES:
        found = f"the weight {name!r} has the element type number {meta.dtype}."
        raise refusal(Pt2Reason.UNSUPPORTED_DTYPE, found)
    if meta.layout != STRIDED:
        found = f"the weight {name!r} has layout {meta.layout}, expected a dense tensor."
        raise refusal(Pt2Reason.UNSUPPORTED_LAYOUT, found)
    dtype = np.dtype(DTYPES[meta.dtype][1])
    sizes, strides = _integers(name, meta.sizes), _integers(name, meta.strides)
    (offset,) = _integers(name, (meta.storage_offset,))
    if len(sizes) != len(strides):
        found = f"the weight {name!r} has {len(sizes)} sizes and {len(strides)} strides."
        raise refusal(Pt2Reason.BAD_WEIGHT, found)
    if any(size > 1 and stride == 0 for size, stride in zip(sizes, strides, strict=True)):
        found = f"the weight {name!r} repeats its elements by a stride of 0."
        raise refusal(Pt2Reason.BAD_WEIGHT, found)
    count = math.prod(sizes)
    if any(size > limits.extent for size in sizes) or count > limits.elements:
        raise refusal(Pt2Reason.TOO_LARGE, f"the weight {name!r} has sizes {list(sizes)}.")
    last = offset + sum((n - 1) * stride for n, stride in zip(sizes, strides, strict=True))
    available = len(record) // dtype.itemsize
    if len(record) % dtype.itemsize or (count and last >= available) or offset > available:
        raise refusal(
            Pt2Reason.WEIGHT_OUT_OF_BOUNDS,
            f"the weight {name!r} with sizes {list(sizes)} does not fit its record "
            f"of {len(record)} bytes.",
        )
    if not count:
        return np.empty(sizes, dtype)
    elements: Weight = np.frombuffer(record, dtype)
    # A dimension of one element never moves, and its stated stride may be any number.
    pairs = zip(sizes, strides, strict=True)
    byte_strides = [stride * dtype.itemsize if size > 1 else 0 for size, stride in pairs]
    return np.lib.stride_tricks.as_strided(elements[offset:], sizes, byte_strides, writeable=False)


def _integers(name: str, extents: tuple[Extent, ...]) -> tuple[int, ...]:
    integers = tuple(extent for extent in extents if isinstance(extent, int))
    if len(integers) != len(extents) or any(extent < 0 for extent in integers):
        found = f"the weight {name!r} has a size, stride or offset that is symbolic or negative."
        raise refusal(Pt2Reason.BAD_WEIGHT, found)
    return integers


def _check_totals(
    records: Mapping[str, memoryview], logical: Mapping[str, int], limits: Limits
) -> None:
    for record_name, record in records.items():
        if record_name not in logical:
            found = f"the record {record_name!r} belongs to no weight."
            raise refusal(Pt2Reason.WEIGHT_RECORD_MISMATCH, found)
        if len(record) > limits.storage_ratio * logical[record_name]:
            raise refusal(
                Pt2Reason.BAD_WEIGHT,
                f"the record {record_name!r} has {len(record)} bytes for {logical[record_name]} "
                "bytes of weights. Clone weights that are views of larger tensors, and save again.",
            )
    stored = sum(map(len, records.values()))
    if sum(logical.values()) > limits.logical_ratio * stored:
        found = f"{stored} bytes of records are used as {sum(logical.values())} bytes of weights."
        raise refusal(Pt2Reason.BAD_WEIGHT, found)
