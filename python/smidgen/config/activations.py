"""How activations get their scale."""

from __future__ import annotations

import enum


class Activations(enum.StrEnum):
    """How the inputs of linear layers get their scale.

    STATIC: from calibration, one for a tensor. DYNAMIC: from the values of each row while the
    program runs, which follows any data and costs a pass over the row.
    """

    STATIC = "static"
    DYNAMIC = "dynamic"


class RangeSource(enum.StrEnum):
    """Where the ranges of activations come from in training.

    OBSERVED: a moving average of the batches' ranges. LEARNED: the loss, by a gradient for the step
    between two integers.
    """

    OBSERVED = "observed"
    LEARNED = "learned"
