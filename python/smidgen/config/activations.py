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
