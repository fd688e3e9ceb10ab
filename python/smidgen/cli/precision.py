"""The precision of layers as options."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import typer

from smidgen.cli.exits import UsageError
from smidgen.config import LayerPrecision, Override, PrecisionConfig, WeightBits

PRECISION_OPTIONS = ("weights", "group_size", "override")
DEFAULT_GROUP_SIZE = LayerPrecision().group_size

Weights = Annotated[WeightBits, typer.Option("--weights", help="Bits of the weights.")]
GroupSize = Annotated[
    int,
    typer.Option(
        help="int4 weights that share a multiplier: 32, 64, 128 or 256; 0 for a whole channel."
    ),
]
Overrides = Annotated[
    list[str] | None,
    typer.Option(
        "--override",
        help="Other bits for layers by pattern, for instance 'layer4.*=int8' or 'head=float'; may "
        "be repeated, and the last that fits counts.",
    ),
]


def precision_config(
    weights: WeightBits, group_size: int, overrides: Sequence[str] | None
) -> PrecisionConfig | None:
    """Returns the precision that options ask for; None if they say what is so anyway.

    Raises:
        UsageError: an override has another form than PATTERN=BITS.
        InvalidConfigError: a value is out of its range, or there is a group size and no int4.
    """
    named = tuple(_override(text, group_size) for text in overrides or ())
    has_narrow = any(override.precision.weights is WeightBits.INT4 for override in named)
    default = _layer(weights, group_size) if has_narrow else LayerPrecision(weights, group_size)
    config = PrecisionConfig(default, named)
    return None if config == PrecisionConfig() else config


def _override(text: str, group_size: int) -> Override:
    pattern, _, bits = text.rpartition("=")
    if not pattern or bits not in set(WeightBits):
        raise UsageError(
            f"--override is {text}, expected a pattern, = and {' or '.join(WeightBits)}, for "
            "instance 'layer4.*=int8'",
            reason="INVALID_OVERRIDE",
            option="--override",
        )
    return Override(pattern, _layer(WeightBits(bits), group_size))


def _layer(weights: WeightBits, group_size: int) -> LayerPrecision:
    is_narrow = weights is WeightBits.INT4
    return LayerPrecision(weights, group_size) if is_narrow else LayerPrecision(weights)
