"""Rows of the operator table: what creates tensors."""

from __future__ import annotations

from functools import partial

import numpy as np

from smidgen.graph import creation_lowering
from smidgen.graph.arguments import Parameter, Type, optional, required
from smidgen.graph.operator import Lower

_SELF = required("self", Type.TENSOR)
_DTYPE = optional("dtype", Type.IGNORED)
_PLACEMENT = tuple(optional(name, Type.IGNORED) for name in ("layout", "device", "pin_memory"))
_FILLED = (required("size", Type.SIZES), _DTYPE, *_PLACEMENT)
_LIKE = (_SELF, _DTYPE, *_PLACEMENT, optional("memory_format", Type.IGNORED))
_START, _END = required("start", Type.FLOAT), required("end", Type.NUMBER_OR_SIZE)

ROWS: dict[str, tuple[tuple[Parameter, ...], Lower]] = {
    "arange.default": ((_END, _DTYPE, *_PLACEMENT), creation_lowering.arange),
    "arange.start": ((_START, _END, _DTYPE, *_PLACEMENT), creation_lowering.arange),
    "arange.start_step": (
        (_START, _END, optional("step", Type.FLOAT, 1), _DTYPE, *_PLACEMENT),
        creation_lowering.arange,
    ),
    "linspace.default": (
        (_START, required("end", Type.FLOAT), required("steps", Type.INT), _DTYPE, *_PLACEMENT),
        creation_lowering.linspace,
    ),
    "new_ones.default": ((_SELF, *_FILLED), partial(creation_lowering.filled, 1)),
    "new_zeros.default": ((_SELF, *_FILLED), partial(creation_lowering.filled, 0)),
    "ones.default": (_FILLED, partial(creation_lowering.filled, 1)),
    "zeros.default": (_FILLED, partial(creation_lowering.filled, 0)),
    "full.default": (
        (_FILLED[0], required("fill_value", Type.FLOAT), *_FILLED[1:]),
        partial(creation_lowering.filled, None),
    ),
    "zeros_like.default": (_LIKE, partial(creation_lowering.filled_like, 0)),
    "ones_like.default": (_LIKE, partial(creation_lowering.filled_like, 1)),
    "full_like.default": (
        (_SELF, required("fill_value", Type.FLOAT), *_LIKE[1:]),
        partial(creation_lowering.filled_like, None),
    ),
    **{
        f"{part.__name__}.default": (
            (_SELF, optional("diagonal", Type.INT, 0)),
            partial(creation_lowering.triangle, part),
        )
        for part in (np.tril, np.triu)
    },
}  # fmt: skip
"""Parameters and meaning of each operator by its name without the prefix."""
