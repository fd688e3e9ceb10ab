"""Batches of a calibration: checked, encoded for the worker, and digested."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Sequence

from smidgen_service.errors import InvalidArgumentError
from smidgen_service.handlers.tensors import RawTensor, check_finite, check_tensors
from smidgen_service.store.records import ModelRecord

Batch = Sequence[RawTensor]


def encode_batch(model: ModelRecord, batch: Batch) -> tuple[list[dict[str, object]], bytes]:
    """Checks a batch and returns the fields and the bytes of its frame.

    Raises:
        InvalidTensorError: it does not fit the model, or a value is not finite.
    """
    arrays = check_tensors(batch, model.inputs)
    counts = {array.shape[0] for array in arrays.values() if array.ndim}
    if len(counts) > 1:
        raise InvalidArgumentError(
            f"the inputs of a batch have {sorted(counts)} samples, expected the same number",
            field="batch.inputs",
            reason="TENSOR_SHAPE_MISMATCH",
        )
    check_finite(arrays)
    tensors: list[dict[str, object]] = [
        {"name": name, "dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in arrays.items()
    ]
    return tensors, b"".join(array.tobytes() for array in arrays.values())


async def digesting(incoming: AsyncIterator[Batch], body: hashlib._Hash) -> AsyncIterator[Batch]:
    """Passes batches on and takes them into the digest of the call."""
    async for batch in incoming:
        for tensor in batch:
            header = f"{tensor.name}\0{tensor.dtype}\0{tensor.shape}\0{len(tensor.data)}\0"
            body.update(header.encode())
            body.update(tensor.data)
        body.update(b"\n")
        yield batch
