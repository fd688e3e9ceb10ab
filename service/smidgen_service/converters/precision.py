"""Precisions of layers."""

from __future__ import annotations

from smidgen.config import LayerPrecision, Override, PrecisionConfig, WeightBits
from smidgen.v1 import precision_pb2 as pb
from smidgen_service.errors import InvalidArgumentError

_BITS = {
    pb.WEIGHT_BITS_UNSPECIFIED: WeightBits.INT8,
    pb.WEIGHT_BITS_INT8: WeightBits.INT8,
    pb.WEIGHT_BITS_INT4: WeightBits.INT4,
    pb.WEIGHT_BITS_FLOAT: WeightBits.FLOAT,
}


def precision_config(message: pb.PrecisionConfig) -> PrecisionConfig:
    """Returns a configuration, with defaults where the message has none.

    Raises:
        InvalidArgumentError: bits that this server does not know.
        InvalidConfigError: an option is out of its range.
    """
    return PrecisionConfig(
        default=_layer_precision(message.default),
        overrides=tuple(
            Override(override.pattern, _layer_precision(override.precision))
            for override in message.overrides
        ),
    )


def _layer_precision(message: pb.LayerPrecision) -> LayerPrecision:
    weights = _BITS.get(message.weights)
    if weights is None:
        raise InvalidArgumentError(
            f"weights is {message.weights}, which this server does not know",
            field="precision.weights",
            reason="INVALID_WEIGHT_BITS",
        )
    defaults = LayerPrecision(weights)
    return LayerPrecision(
        weights=weights,
        group_size=message.group_size if message.HasField("group_size") else defaults.group_size,
    )
