"""The .npy format of one array: header and bytes, without evaluating the header.

Format: numpy.lib.format, versions 1.0 to 3.0.
"""

from __future__ import annotations

import math
import re
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

from smidgen.errors import InvalidDatasetError

_MAGIC = b"\x93NUMPY"
_LENGTH_BYTES = {(1, 0): 2, (2, 0): 4, (3, 0): 4}
_MAX_HEADER = 4096
_MAX_RANK = 8
_ITEM = (
    r"'(?:descr'\s*:\s*'(?P<descr>[<>|=]?[A-Za-z][0-9]{0,3})'"
    r"|fortran_order'\s*:\s*(?P<order>True|False)"
    r"|shape'\s*:\s*\((?P<shape>(?:\s*[0-9]{1,18}\s*,)*\s*(?:[0-9]{1,18}\s*)?)\))"
)
_ITEMS = re.compile(r"\s*" + _ITEM + r"\s*(?:,|$)")
_DTYPES = frozenset(
    ["<f2", "<f4", "<f8", "|u1", "|i1", "<u2", "<i2", "<u4", "<i4", "<u8", "<i8", "|b1"]
)


def parse_npy(data: bytes | memoryview, name: str) -> NDArray[np.generic]:
    """Parses one array; the result is a read-only view of the data.

    Args:
        data: The bytes of the .npy file.
        name: The array's name, for messages.

    Raises:
        InvalidDatasetError: DATASET_MALFORMED or DATASET_UNSUPPORTED_DTYPE.
    """
    view = memoryview(data)
    header, start = _split(view, name)
    dtype, is_fortran, shape = _parse_header(header, name)
    count = math.prod(shape)
    if len(view) - start != count * dtype.itemsize:
        _malformed(
            name,
            f"it has {len(view) - start} bytes for {dtype} elements of shape {list(shape)}",
        )
    array: NDArray[np.generic] = np.frombuffer(view[start:], dtype, count)
    array.flags.writeable = False
    return array.reshape(shape, order="F" if is_fortran else "C")


def _malformed(name: str, found: str) -> NoReturn:
    raise InvalidDatasetError(
        f"The array {name!r} cannot be read: {found}. Write it with numpy.savez.",
        reason="DATASET_MALFORMED",
        array=name,
    )


def _split(view: memoryview, name: str) -> tuple[str, int]:
    if bytes(view[:6]) != _MAGIC or len(view) < 12:
        _malformed(name, "it is no .npy file")
    length_bytes = _LENGTH_BYTES.get((view[6], view[7]))
    if length_bytes is None:
        _malformed(name, f"its format version is {view[6]}.{view[7]}, expected 1.0 to 3.0")
    length = int.from_bytes(view[8 : 8 + length_bytes], "little")
    start = 8 + length_bytes + length
    if length > _MAX_HEADER or start > len(view):
        _malformed(name, f"its header is stated to have {length} bytes")
    try:
        return bytes(view[8 + length_bytes : start]).decode("ascii"), start
    except UnicodeDecodeError:
        _malformed(name, "its header is not ASCII text")


def _parse_header(header: str, name: str) -> tuple[np.dtype[np.generic], bool, tuple[int, ...]]:
    body = header.strip()
    if not (body.startswith("{") and body.endswith("}")):
        _malformed(name, "its header is no dictionary")
    body = body[1:-1].strip()
    found: dict[str, str] = {}
    position = 0
    while position < len(body):
        item = _ITEMS.match(body, position)
        if item is None or str(item.lastgroup) in found:
            _malformed(name, f"its header is {header[:80]!r}")
        found[str(item.lastgroup)] = item.group(str(item.lastgroup))
        position = item.end()
    if found.keys() != {"descr", "order", "shape"}:
        _malformed(name, f"its header is {header[:80]!r}")
    if found["descr"] not in _DTYPES:
        raise InvalidDatasetError(
            f"The array {name!r} has elements of type {found['descr']!r}; little-endian numbers "
            "are supported. Convert it to float32, uint8 or int64.",
            reason="DATASET_UNSUPPORTED_DTYPE",
            array=name,
        )
    shape = tuple(int(extent) for extent in found["shape"].split(",") if extent.strip())
    if len(shape) > _MAX_RANK:
        _malformed(name, f"it has {len(shape)} dimensions, at most {_MAX_RANK} are allowed")
    return np.dtype(found["descr"]), found["order"] == "True", shape
