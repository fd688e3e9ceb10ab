"""Layouts of tensors that were found to fit a model once, and need not be looked at again."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.tensor_spec import TensorSpec
from smidgen_service.handlers.tensors import RawTensor, check_tensors

MOST_LAYOUTS = 64
_Layout = tuple[str, str, tuple[int, ...], int]


@dataclass(frozen=True, slots=True)
class _Fit:
    """The input that a layout fits, and its type."""

    name: str
    dtype: np.dtype[Any]


class KnownLayouts:
    """Makes the arrays of requests of one input, most of which have the layout of an earlier one.

    Args:
        specs: The inputs of the model.
    """

    def __init__(self, specs: Sequence[TensorSpec]) -> None:
        self._specs = specs
        self._fits: dict[_Layout, _Fit] = {}

    def arrays(self, tensors: Sequence[RawTensor]) -> dict[str, NDArray[np.generic]]:
        """Returns what check_tensors does.

        Raises:
            InvalidTensorError: as check_tensors.
        """
        if len(tensors) != 1:
            return check_tensors(tensors, self._specs)
        tensor = tensors[0]
        layout = tensor.name, tensor.dtype, tensor.shape, len(tensor.data)
        fit = self._fits.get(layout)
        if fit is None:
            return self._checked(tensor, layout)
        array: NDArray[np.generic] = np.frombuffer(tensor.data, fit.dtype).reshape(tensor.shape)
        return {fit.name: array if array.flags.aligned else array.copy()}

    def knows(self, tensor: RawTensor) -> bool:
        """Tells whether a tensor fits the only input, whatever its values."""
        return (tensor.name, tensor.dtype, tensor.shape, len(tensor.data)) in self._fits

    def _checked(self, tensor: RawTensor, layout: _Layout) -> dict[str, NDArray[np.generic]]:
        arrays = check_tensors((tensor,), self._specs)
        ((name, array),) = arrays.items()
        # Of truth values, not all bytes are allowed, so each is looked at every time.
        if array.dtype.kind != "b" and len(self._fits) < MOST_LAYOUTS:
            self._fits[layout] = _Fit(name, array.dtype)
        return arrays
