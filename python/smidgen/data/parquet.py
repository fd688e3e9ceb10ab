"""Parquet files with encoded images, rewritten as shards of WebDataset.

No server parses Parquet: whoever has the file rewrites it where it lies, by pyarrow, and what is
uploaded is a plain archive (docs/design/0024). Equal files give shards of equal bytes.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import repeat
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NoReturn

from smidgen.data.image_header import ImageKind, read_image_header
from smidgen.data.limits import DEFAULT_LIMITS, ImageLimits
from smidgen.data.parquet_columns import ImageColumns, choose_columns
from smidgen.data.web_dataset import MOST_CLASS
from smidgen.durable_file import replacing_file
from smidgen.errors import InvalidDatasetError
from smidgen.extras import require_parquet
from smidgen.regular_file import check_regular

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

SUFFIX = ".parquet"

_ROWS = 32
_NO_CLASS = -1
"""What the package datasets writes where a sample has none."""

_EXTENSIONS = {ImageKind.JPEG: "jpg", ImageKind.PNG: "png"}


def write_shard(
    parquet: Path,
    shard: Path,
    *,
    image_column: str | None = None,
    label_column: str | None = None,
    limits: ImageLimits = DEFAULT_LIMITS,
) -> int:
    """Rewrites a Parquet file as a shard, a few rows at a time, and returns the number of samples.

    Args:
        parquet: A file with a column of JPEG or PNG files, as bytes or as the structures with a
            field `bytes` that the package datasets writes, and optionally one of class numbers.
        shard: Where the `.tar` file goes. It appears when it is complete.
        image_column: Name of the first. Default: the only column that can be it.
        label_column: Name of the second. Default: `label`, if there is one.
        limits: Caps on images and on their number.

    Raises:
        InvalidDatasetError: With a PARQUET_ reason.
        MissingExtraError: pyarrow is not installed.
        OSError: A file cannot be read or written.
    """
    require_parquet()
    file = _open(parquet)
    columns = choose_columns(file.schema_arrow, image_column, label_column)
    count = 0
    with replacing_file(shard) as target, tarfile.open(fileobj=target, mode="w") as archive:
        for count, (data, number) in enumerate(_samples(file, columns), start=1):
            image = _checked_image(count, data, limits)
            name = f"{count - 1:09d}"
            _add(archive, f"{name}.{_extension(image, count, limits)}", image)
            if number not in (None, _NO_CLASS):
                _add(archive, f"{name}.cls", str(_checked_class(count, number)).encode())
        if count == 0:
            raise InvalidDatasetError(
                "The data set has no images. Write at least one row.", reason="DATASET_EMPTY"
            )
    return count


@contextmanager
def as_archive(path: Path) -> Iterator[Path]:
    """Gives the shard of a Parquet file while the block runs, and any other file as it is.

    Raises:
        InvalidDatasetError: With a PARQUET_ reason.
        MissingExtraError: pyarrow is not installed.
        OSError: A file cannot be read or written.
    """
    if path.suffix.lower() != SUFFIX:
        yield path
        return
    with TemporaryDirectory(prefix="smidgen-") as folder:
        shard = Path(folder) / f"{path.stem}.tar"
        write_shard(path, shard)
        yield shard


def _open(path: Path) -> pq.ParquetFile:
    import pyarrow as pa  # noqa: PLC0415 - an optional extra
    import pyarrow.parquet as pq  # noqa: PLC0415

    check_regular(path)
    try:
        return pq.ParquetFile(path, page_checksum_verification=True)
    except (pa.ArrowException, OSError) as error:
        _malformed(error)


def _samples(
    file: pq.ParquetFile, columns: ImageColumns
) -> Iterator[tuple[bytes | None, int | None]]:
    import pyarrow as pa  # noqa: PLC0415

    rows = file.iter_batches(batch_size=_ROWS, columns=columns.names, use_threads=False)
    try:
        for batch in rows:
            images = _bytes_of(batch.column(columns.image))
            labels = batch.column(columns.label).to_pylist() if columns.label else repeat(None)
            yield from zip(images, labels, strict=False)
    except (pa.ArrowException, OSError) as error:
        _malformed(error)


def _bytes_of(column: pa.Array) -> list[bytes | None]:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_struct(column.type):
        column = column.field("bytes")
    found: list[bytes | None] = column.to_pylist()
    return found


def _checked_image(count: int, data: bytes | None, limits: ImageLimits) -> bytes:
    if count > limits.members:
        raise InvalidDatasetError(
            f"The Parquet file has more than {limits.members} rows. Use fewer.",
            reason="DATASET_TOO_LARGE",
        )
    if data is None or len(data) > limits.encoded_bytes:
        found = "no image" if data is None else f"an image of {len(data)} bytes"
        raise InvalidDatasetError(
            f"Row {count - 1} has {found}, expected one of at most {limits.encoded_bytes} bytes. "
            "Images that are stored as paths have to be embedded first.",
            reason="PARQUET_BAD_IMAGE",
        )
    return data


def _extension(image: bytes, count: int, limits: ImageLimits) -> str:
    header = read_image_header(
        lambda offset, length: image[offset : offset + length],
        f"Row {count - 1}",
        limits=limits,
    )
    return _EXTENSIONS[header.kind]


def _checked_class(count: int, number: int) -> int:
    if not 0 <= number <= MOST_CLASS:
        raise InvalidDatasetError(
            f"Row {count - 1} has the class {number}, expected 0 to {MOST_CLASS}. Number the "
            "classes from 0 on.",
            reason="DATASET_BAD_LABEL",
        )
    return number


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    # Without a time and an owner, equal samples are equal bytes.
    entry = tarfile.TarInfo(name)
    entry.size = len(data)
    archive.addfile(entry, io.BytesIO(data))


def _malformed(error: Exception) -> NoReturn:
    # Of damaged pages pyarrow says OSError too, with no number of the system's.
    if isinstance(error, OSError) and error.errno is not None:
        raise error
    raise InvalidDatasetError(
        f"The Parquet file cannot be read: pyarrow says {str(error)[:200]!r}. Write it again.",
        reason="PARQUET_MALFORMED",
    ) from None
