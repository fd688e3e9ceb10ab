"""Data sets: named arrays with one sample per row, in .npz, .npy or safetensors files.

One array for each input of a model, named as the input (or `inputs` where the model has one), and
optionally `labels`; that of a .npy file is `inputs`. Samples of float32 inputs may be float32,
float64 or float16, those of int64 inputs any integers that fit, those of bool inputs bool.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Literal, NoReturn, cast

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from smidgen.errors import InvalidDatasetError
from smidgen.formats.mapped_pages import PART_BYTES, drop_pages
from smidgen.formats.npy import parse_npy
from smidgen.formats.strict_json import parse_json
from smidgen.formats.zip_archive import ZipArchive, ZipLimits
from smidgen.regular_file import open_regular
from smidgen.tensor_spec import TensorSpec

Array = NDArray[np.generic]
LABELS = "labels"
ONLY_INPUT = "inputs"

_INPUT_DTYPES = {
    "float32": ("float32", "float64", "float16"),
    "int64": ("int64", "int32", "int16", "int8", "uint32", "uint16", "uint8"),
    "bool": ("bool",),
}
"""The element types that an input's samples may have, by that of the input."""

_SAFETENSORS_DTYPES = {
    "F16": "<f2",
    "F32": "<f4",
    "F64": "<f8",
    "U8": "|u1",
    "I8": "|i1",
    "U16": "<u2",
    "I16": "<i2",
    "U32": "<u4",
    "I32": "<i4",
    "U64": "<u8",
    "I64": "<i8",
    "BOOL": "|b1",
}

_HOW_TO_NAME = "Name its arrays as the model's inputs."
_HOW_TO_NAME_ONE = f"Call the array of samples {ONLY_INPUT!r}, or as the model's input."
_MAX_HEADER_BYTES = 1 << 20


class DatasetFormat(StrEnum):
    """The file formats of data sets."""

    NPZ = "npz"
    NPY = "npy"
    SAFETENSORS = "safetensors"
    WEB_DATASET = "tar"
    IMAGE_ZIP = "zip"

    @property
    def holds_images(self) -> bool:
        """Whether the samples are encoded images, which smidgen.data reads."""
        return self in (DatasetFormat.WEB_DATASET, DatasetFormat.IMAGE_ZIP)


@dataclass(frozen=True, slots=True)
class DatasetLimits:
    """Caps on a data set's file.

    Attributes:
        file_bytes: Size of the file.
        array_bytes: Bytes of all arrays together, after decompression.
        arrays: Number of arrays.
    """

    file_bytes: int = 4 << 30
    array_bytes: int = 4 << 30
    arrays: int = 64


@dataclass(frozen=True, slots=True)
class Dataset:
    """Named arrays with the same number of samples, all finite.

    Attributes:
        arrays: Read-only arrays by name, sorted. Labels are int64, or float32 for regression.
        sample_count: First extent of every array, at least 1.
    """

    arrays: Mapping[str, Array]
    sample_count: int

    @property
    def labels(self) -> Array | None:
        """The labels, int64 or float32 with one row per sample, or None if there are none."""
        return self.arrays.get(LABELS)

    @property
    def specs(self) -> tuple[TensorSpec, ...]:
        """Names, types and shapes of the arrays; the first extent of each is None."""
        return tuple(
            TensorSpec(name=name, dtype=array.dtype.name, shape=(None, *array.shape[1:]))
            for name, array in self.arrays.items()
        )

    def inputs_for(self, inputs: Sequence[TensorSpec]) -> dict[str, NDArray[Any]]:
        """Returns all samples in the inputs' element types by the names of a model's inputs.

        Raises:
            InvalidDatasetError: DATASET_INPUT_MISSING, DATASET_UNSUPPORTED_DTYPE,
                DATASET_SHAPE_MISMATCH or DATASET_INDEX_OUT_OF_RANGE.
        """
        return {spec.name: as_input(self.array_for(spec, inputs), spec) for spec in inputs}

    def batches(
        self, inputs: Sequence[TensorSpec], batch_size: int
    ) -> Iterator[dict[str, NDArray[Any]]]:
        """Yields the samples in order by the names of the inputs; the last batch may be smaller.

        Memory does not grow with the number of samples of a mapped file.

        Raises:
            InvalidDatasetError: As inputs_for.
        """
        arrays = {spec.name: self.array_for(spec, inputs) for spec in inputs}
        for start in range(0, self.sample_count, batch_size):
            rows = slice(start, start + batch_size)
            yield {spec.name: as_input(arrays[spec.name][rows], spec) for spec in inputs}
            for array in arrays.values():
                drop_pages(array[rows])

    def array_for(self, spec: TensorSpec, inputs: Sequence[TensorSpec]) -> Array:
        """Returns the array of one of a model's inputs, in the type that it has in the file.

        Raises:
            InvalidDatasetError: There is none, or its type or shape does not fit.
        """
        array = self.arrays.get(spec.name)
        if array is None and len(inputs) == 1:
            array = self.arrays.get(ONLY_INPUT)
        if array is None:
            found = ", ".join(self.arrays)
            raise InvalidDatasetError(
                f"The data set has no array {spec.name!r} for the model's input; it has {found}. "
                f"{_HOW_TO_NAME_ONE if len(inputs) == 1 else _HOW_TO_NAME}",
                reason="DATASET_INPUT_MISSING",
                input=spec.name,
            )
        allowed = _INPUT_DTYPES[spec.dtype]
        if array.dtype.name not in allowed:
            scaling = (
                ", and scale the values as the model was trained: pixels from 0 to 255 are not "
                "what most models take"
            )
            hint = f"Convert it{scaling if spec.dtype == 'float32' else ''}."
            raise InvalidDatasetError(
                f"The array for the input {spec.name!r} has elements of type {array.dtype}, "
                f"expected {_choice(allowed)}. {hint}",
                reason="DATASET_UNSUPPORTED_DTYPE",
                input=spec.name,
            )
        if array.shape[1:] != spec.shape[1:]:
            expected = TensorSpec(spec.name, spec.dtype, (None, *spec.shape[1:])).describe_shape()
            raise InvalidDatasetError(
                f"The array for the input {spec.name!r} has the shape {list(array.shape)}, "
                f"expected {expected}. Reshape it; the axes of images are samples, channels, "
                "height, width.",
                reason="DATASET_SHAPE_MISMATCH",
                input=spec.name,
            )
        return array


def format_of(path: Path) -> DatasetFormat:
    """Tells a data set's format by the file's extension. Raises: InvalidDatasetError."""
    try:
        return DatasetFormat(path.suffix.lower().removeprefix("."))
    except ValueError:
        raise InvalidDatasetError(
            f"{path} ends in {path.suffix or 'no extension'}, expected "
            f"{' or '.join(f'.{known}' for known in DatasetFormat)}; save the arrays with "
            "numpy.savez, make a shard of a Parquet file by `smidgen shard`, or pass the format of "
            "a file with another name",
            reason="DATASET_FORMAT_UNKNOWN",
            path=str(path),
        ) from None


def read_dataset(
    path: str | Path,
    dataset_format: DatasetFormat | None = None,
    *,
    limits: DatasetLimits | None = None,
) -> Dataset:
    """Reads a data set of arrays. They are views of the mapped file, but for compressed ones.

    Args:
        path: The file. It must not change while the data set is in use.
        dataset_format: Its format. Default: what its extension says.
        limits: Caps on it.

    Raises:
        InvalidDatasetError: With a ZIP_ or DATASET_ reason.
    """
    path = Path(path)
    dataset_format = dataset_format or format_of(path)
    if dataset_format.holds_images:
        raise InvalidDatasetError(
            f"{path.name} holds images, expected arrays. Open it with smidgen.data and a "
            "preprocessing.",
            reason="PREPROCESSING_MISSING",
        )
    caps = limits or DatasetLimits()
    arrays = _READERS[dataset_format](path, caps)
    for name, array in arrays.items():
        _check_finite(name, array)
    count = _sample_count(arrays)
    if LABELS in arrays:
        arrays[LABELS] = _as_labels(arrays[LABELS])
    for array in arrays.values():
        array.flags.writeable = False
    return Dataset(arrays, count)


def _malformed(found: str) -> NoReturn:
    raise InvalidDatasetError(
        f"The data set cannot be read: {found}. Write the file again.", reason="DATASET_MALFORMED"
    )


def _too_large(found: str) -> NoReturn:
    raise InvalidDatasetError(
        f"The data set is too large: {found}. Use fewer samples.", reason="DATASET_TOO_LARGE"
    )


def _read_npz(path: Path, limits: DatasetLimits) -> dict[str, Array]:
    archive = ZipArchive(
        path,
        limits=ZipLimits(
            file_bytes=limits.file_bytes, entries=limits.arrays, inflated_bytes=limits.array_bytes
        ),
        allow_deflate=True,
        error=InvalidDatasetError,
    )
    arrays: dict[str, Array] = {}
    for entry in sorted(archive.names):
        name = entry.removesuffix(".npy")
        if name == entry or "/" in name:
            _malformed(f"the entry {entry[:64]!r} is no array; arrays end in .npy")
        arrays[name] = parse_npy(archive.read(entry), name)
    return arrays


def _read_npy(path: Path, limits: DatasetLimits) -> dict[str, Array]:
    _check_size(path, limits)
    return {ONLY_INPUT: parse_npy(_map(path), ONLY_INPUT)}


def _read_safetensors(path: Path, limits: DatasetLimits) -> dict[str, Array]:
    size = _check_size(path, limits)
    with open_regular(path) as file:
        header_bytes = int.from_bytes(file.read(8), "little")
    if header_bytes > min(size, _MAX_HEADER_BYTES):
        _malformed(f"its header is stated to have {header_bytes} bytes")
    try:
        # The library checks the header, and that the arrays cover the rest of the file.
        with safe_open(path, framework="np") as file:
            names = sorted(file.keys())
    except (SafetensorError, OverflowError) as error:
        _malformed(f"the safetensors library says: {str(error)[:200]}")
    if len(names) > limits.arrays:
        _too_large(f"it has {len(names)} arrays, at most {limits.arrays} are allowed")
    data = _map(path)
    header = cast(
        "Mapping[str, Any]",
        parse_json(data[8 : 8 + header_bytes], label="its header", error=InvalidDatasetError),
    )
    arrays: dict[str, Array] = {}
    for name in names:
        _check_name(name)
        arrays[name] = _mapped(header[name], data[8 + header_bytes :], name)
    return arrays


_READERS = {
    DatasetFormat.NPZ: _read_npz,
    DatasetFormat.NPY: _read_npy,
    DatasetFormat.SAFETENSORS: _read_safetensors,
}


def _check_size(path: Path, limits: DatasetLimits) -> int:
    size = path.stat().st_size
    if size > limits.file_bytes:
        _too_large(f"the file has {size} bytes, at most {limits.file_bytes} are allowed")
    return size


def _map(path: Path) -> memoryview:
    with open_regular(path) as opened:
        if opened.seek(0, 2) == 0:  # which cannot be mapped
            return memoryview(b"")
        return memoryview(mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ))


def _mapped(entry: Mapping[str, Any], data: memoryview, name: str) -> Array:
    """Returns an array of a safetensors file as a view of it."""
    dtype = _SAFETENSORS_DTYPES.get(entry["dtype"])
    if dtype is None:
        _malformed(f"the array {name!r} has elements of type {entry['dtype']!r}")
    start, stop = entry["data_offsets"]
    return np.frombuffer(data[start:stop], dtype).reshape(entry["shape"])


def _check_name(name: str) -> None:
    if not 0 < len(name) <= 512 or not name.isprintable():
        _malformed(f"an array has the name {name[:64]!r}")


def _check_finite(name: str, array: Array) -> None:
    if array.dtype.kind != "f":
        return
    flat = array.reshape(-1, order="A")
    # NaN is within no bound, and float64 must not become infinite as float32.
    narrow = np.float16 if array.dtype == np.float16 else np.float32
    bound = np.finfo(narrow).max.astype(array.dtype)
    count = PART_BYTES // array.itemsize
    for start in range(0, flat.size, count):
        part = flat[start : start + count]
        is_within = np.abs(part) <= bound
        if not is_within.all():
            # `flat` is in the order of memory, which is that of columns in some arrays.
            is_by_columns = array.flags.f_contiguous and not array.flags.c_contiguous
            order: Literal["C", "F"] = "F" if is_by_columns else "C"
            first = start + int(is_within.argmin())
            raise _not_finite(name, array, np.unravel_index(first, array.shape, order=order))
        drop_pages(part)


def _not_finite(name: str, array: Array, place: tuple[np.intp, ...]) -> InvalidDatasetError:
    sample, *index = map(int, place or (0,))  # a single number is refused as well
    within = f" at {index}" if index else ""
    return InvalidDatasetError(
        f"The array {name!r} has {array[place]} in sample {sample}{within}, expected finite values "
        "within the range of float32. Remove the samples with others.",
        reason="DATASET_NOT_FINITE",
        array=name,
        sample=sample,
        index=str(index),
    )


def _sample_count(arrays: Mapping[str, Array]) -> int:
    if any(array.ndim == 0 for array in arrays.values()):
        _malformed("one of its arrays is a single number")
    lengths = {name: len(array) for name, array in arrays.items()}
    if not lengths or 0 in lengths.values() or lengths.keys() == {LABELS}:
        raise InvalidDatasetError(
            "The data set has no samples. Write at least one sample.", reason="DATASET_EMPTY"
        )
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{name}: {length}" for name, length in lengths.items())
        raise InvalidDatasetError(
            f"The arrays of the data set have different numbers of samples ({found}). "
            "Write one row per sample in each of them.",
            reason="DATASET_UNEQUAL_LENGTHS",
        )
    return next(iter(lengths.values()))


def _as_labels(labels: Array) -> Array:
    if labels.dtype.kind == "f":
        return _as_float32(labels)
    if labels.dtype.kind not in "iub":
        _malformed(f"its labels have elements of type {labels.dtype}")
    if labels.dtype == np.uint64 and labels.size and int(np.max(labels)) >= 1 << 63:
        _malformed("its labels do not fit 64 bits")
    return np.ascontiguousarray(labels, np.int64)


def _choice(names: Sequence[str]) -> str:
    *first, last = names
    return f"{', '.join(first)} or {last}" if first else last


def as_input(array: Array, spec: TensorSpec) -> NDArray[Any]:
    """Gives an array the type of an input and checks that indices are those of rows.

    Raises:
        InvalidDatasetError: DATASET_INDEX_OUT_OF_RANGE.
    """
    typed = np.ascontiguousarray(array, spec.dtype)
    if spec.index_count is not None and typed.size:
        low, high = int(typed.min()), int(typed.max())
        if low < 0 or high >= spec.index_count:
            raise InvalidDatasetError(
                f"The array for the input {spec.name!r} has values from {low} to {high}, expected "
                f"0 to {spec.index_count - 1}. Use the tokenizer of the model.",
                reason="DATASET_INDEX_OUT_OF_RANGE",
                input=spec.name,
            )
    return typed


def _as_float32(array: Array) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)
