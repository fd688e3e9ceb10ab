"""Which columns of a Parquet file hold its images and their classes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from smidgen.errors import InvalidDatasetError

if TYPE_CHECKING:
    import pyarrow as pa

_LABEL_COLUMN = "label"


@dataclass(frozen=True, slots=True)
class ImageColumns:
    """Names of the columns.

    Attributes:
        image: Bytes of JPEG or PNG files, or structures with a field `bytes` of them.
        label: Class numbers; None where there are none.
    """

    image: str
    label: str | None

    @property
    def names(self) -> list[str]:
        """All of them."""
        return [self.image] if self.label is None else [self.image, self.label]


def choose_columns(
    schema: pa.Schema, image: str | None = None, label: str | None = None
) -> ImageColumns:
    """Checks the columns that are named, and finds those that are not.

    Raises:
        InvalidDatasetError: PARQUET_BAD_COLUMN.
    """
    columns = ImageColumns(image or _image_column(schema), label or _label_column(schema))
    _check_columns(schema, columns.image, columns.label)
    return columns


def _image_column(schema: pa.Schema) -> str:
    found: list[str] = [field.name for field in schema if _holds_bytes(field.type)]
    if len(found) == 1:
        return found[0]
    raise InvalidDatasetError(
        f"The Parquet file has {len(found)} columns of bytes among {_names(schema)}, expected one "
        "with the images. Name it as image_column, or by `smidgen shard --image-column`.",
        reason="PARQUET_BAD_COLUMN",
    )


def _label_column(schema: pa.Schema) -> str | None:
    return _LABEL_COLUMN if _LABEL_COLUMN in schema.names else None


def _check_columns(schema: pa.Schema, image: str, label: str | None) -> None:
    import pyarrow as pa  # noqa: PLC0415

    for name in (image, label):
        if name is not None and schema.names.count(name) != 1:
            raise InvalidDatasetError(
                f"The Parquet file has {schema.names.count(name)} columns {name!r}, expected one; "
                f"it has {_names(schema)}.",
                reason="PARQUET_BAD_COLUMN",
            )
    if not _holds_bytes(schema.field(image).type):
        raise InvalidDatasetError(
            f"The column {image!r} is of type {schema.field(image).type}, expected binary, or a "
            "structure with a field `bytes` of that type.",
            reason="PARQUET_BAD_COLUMN",
        )
    if label is not None and not pa.types.is_integer(schema.field(label).type):
        raise InvalidDatasetError(
            f"The column {label!r} is of type {schema.field(label).type}, expected integers. "
            "Number the classes from 0 on.",
            reason="PARQUET_BAD_COLUMN",
        )


def _holds_bytes(kind: pa.DataType) -> bool:
    import pyarrow as pa  # noqa: PLC0415

    if pa.types.is_struct(kind):
        names = [kind.field(index).name for index in range(kind.num_fields)]
        return names.count("bytes") == 1 and _holds_bytes(kind.field("bytes").type)
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _names(schema: pa.Schema) -> str:
    return ", ".join(repr(name) for name in schema.names[:16])
