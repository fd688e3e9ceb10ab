"""Operations in which each value depends on many along some axes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats.onnx_export.float_rules.rule import FloatRule, Write
from smidgen.formats.onnx_export.rules.reduction import REDUCTIONS
from smidgen.graph.operations import LogSoftmax, Reduce, Softmax


def _reduce(write: Write) -> None:
    reduce: Reduce = write.operation
    keep = int(reduce.keep_dims)
    if reduce.function == "argmax":
        write.node("ArgMax", write.names, axis=reduce.axes[0], keepdims=keep)
    elif reduce.function == "sum":
        axes = write.graph.constant(f"{write.output.name}/axes", np.array(reduce.axes, np.int64))
        write.node("ReduceSum", [*write.names, axes], keepdims=keep)
    else:
        operator = REDUCTIONS[reduce.function]
        write.node(operator, write.names, axes=reduce.axes, keepdims=keep)


def _softmax(write: Write) -> None:
    write.node("Softmax", write.names, axis=write.operation.axis)


def _log_softmax(write: Write) -> None:
    write.node("LogSoftmax", write.names, axis=write.operation.axis)


RULES: Mapping[type[Any], FloatRule] = {
    Reduce: _reduce,
    Softmax: _softmax,
    LogSoftmax: _log_softmax,
}
