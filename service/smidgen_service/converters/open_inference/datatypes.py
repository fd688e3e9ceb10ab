"""The types of the protocol, beside numpy's names of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smidgen_service.open_inference import inference_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Datatype:
    """One type.

    Attributes:
        name: On the wire.
        dtype: By its numpy name, or the name that numpy would give it.
        in_config: In a model's configuration.
        contents: The field of InferTensorContents that holds its values; empty for none.
        item_bytes: Bytes of one value; 0 where they differ from value to value.
    """

    name: str
    dtype: str
    in_config: pb.DataType.ValueType
    contents: str
    item_bytes: int


TABLE = (
    Datatype("BOOL", "bool", pb.TYPE_BOOL, "bool_contents", 1),
    Datatype("UINT8", "uint8", pb.TYPE_UINT8, "uint_contents", 1),
    Datatype("UINT16", "uint16", pb.TYPE_UINT16, "uint_contents", 2),
    Datatype("UINT32", "uint32", pb.TYPE_UINT32, "uint_contents", 4),
    Datatype("UINT64", "uint64", pb.TYPE_UINT64, "uint64_contents", 8),
    Datatype("INT8", "int8", pb.TYPE_INT8, "int_contents", 1),
    Datatype("INT16", "int16", pb.TYPE_INT16, "int_contents", 2),
    Datatype("INT32", "int32", pb.TYPE_INT32, "int_contents", 4),
    Datatype("INT64", "int64", pb.TYPE_INT64, "int64_contents", 8),
    Datatype("FP16", "float16", pb.TYPE_FP16, "", 2),
    Datatype("FP32", "float32", pb.TYPE_FP32, "fp32_contents", 4),
    Datatype("FP64", "float64", pb.TYPE_FP64, "fp64_contents", 8),
    Datatype("BYTES", "bytes", pb.TYPE_STRING, "bytes_contents", 0),
    Datatype("BF16", "bfloat16", pb.TYPE_BF16, "", 2),
)
BY_NAME: Mapping[str, Datatype] = {entry.name: entry for entry in TABLE}
BY_DTYPE: Mapping[str, Datatype] = {entry.dtype: entry for entry in TABLE}
