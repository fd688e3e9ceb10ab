"""How many bits the weights of each layer get."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import Any

from smidgen.config.checks import check_applies
from smidgen.errors import InvalidConfigError
from smidgen.qparams import GROUP_SIZES

DEFAULT_GROUP_SIZE = 128
MOST_OVERRIDES = 64
LONGEST_PATTERN = 200
MOST_STARS = 8  # what is compared takes time that grows with their number
_WILDCARDS = frozenset("*?[")


class WeightBits(enum.StrEnum):
    """What a weight is rounded to."""

    INT8 = "int8"
    INT4 = "int4"
    FLOAT = "float"
    """Not rounded: the layer runs in float32, and so do its activations."""

    @property
    def width(self) -> int:
        """Bits that a weight takes in an artifact."""
        return {WeightBits.INT8: 8, WeightBits.INT4: 4, WeightBits.FLOAT: 32}[self]


@dataclass(frozen=True, slots=True)
class LayerPrecision:
    """The precision of one layer.

    Attributes:
        weights: Bits of its weights.
        group_size: For int4, how many weights along the flattened input axis of one output channel
            share a step: 32, 64, 128 or 256; 0 makes one group of the whole channel. Others have
            no groups and keep the default.
    """

    weights: WeightBits = WeightBits.INT8
    group_size: int = DEFAULT_GROUP_SIZE

    def __post_init__(self) -> None:
        if self.group_size not in GROUP_SIZES:
            raise InvalidConfigError(
                f"group_size is {self.group_size}, expected one of "
                f"{', '.join(map(str, GROUP_SIZES))}",
                field="group_size",
                found=self.group_size,
            )
        check_applies(
            "group_size",
            self.group_size,
            default=DEFAULT_GROUP_SIZE,
            applies=self.weights is WeightBits.INT4,
            needs="int4 weights",
        )

    def describe(self) -> str:
        """Returns it in words, for messages."""
        if self.weights is not WeightBits.INT4:
            return str(self.weights)
        return f"int4 with group_size {self.group_size}"


INT8 = LayerPrecision()
FLOAT = LayerPrecision(WeightBits.FLOAT)


@dataclass(frozen=True, slots=True)
class Override:
    """Another precision for the layers whose name fits.

    Attributes:
        pattern: Shell-style pattern with ?, [...] and up to 8 *, 1 to 200 characters, that is
            compared with the module path and with the node's name; case counts.
        precision: What these layers get.
    """

    pattern: str
    precision: LayerPrecision

    def __post_init__(self) -> None:
        if not 0 < len(self.pattern) <= LONGEST_PATTERN:
            raise InvalidConfigError(
                f"a pattern has {len(self.pattern)} characters, expected 1 to {LONGEST_PATTERN}",
                field="pattern",
            )
        if self.pattern.count("*") > MOST_STARS:
            raise InvalidConfigError(
                f"the pattern {self.pattern} has more than {MOST_STARS} *; name the layers by "
                "several patterns",
                field="pattern",
            )

    @property
    def names_one_layer(self) -> bool:
        """Whether the pattern is a name and fits nothing else."""
        return _WILDCARDS.isdisjoint(self.pattern)


@dataclass(frozen=True, slots=True)
class PrecisionConfig:
    """The precision of all layers.

    Attributes:
        default: Precision of the layers that no override names. int4 is for layers between others:
            those that read the model's input or give its output, depthwise and transposed
            convolutions stay int8 unless an override names them.
        overrides: Exceptions, at most 64; the last one that fits counts.
    """

    default: LayerPrecision = INT8
    overrides: tuple[Override, ...] = ()

    def __post_init__(self) -> None:
        if len(self.overrides) > MOST_OVERRIDES:
            raise InvalidConfigError(
                f"{len(self.overrides)} overrides are given, expected at most {MOST_OVERRIDES}; "
                "name several layers by one pattern",
                field="overrides",
            )

    def describe(self) -> str:
        """Returns it in words, for messages."""
        named = (f"{o.pattern} in {o.precision.describe()}" for o in self.overrides)
        return ", but ".join((self.default.describe(), *named))

    def means_the_same(self, other: PrecisionConfig) -> bool:
        """Tells whether another configuration differs at most by an order that does not matter.

        The order matters where a pattern with wildcards stands beside another precision, because
        of those that fit a layer the last one counts.
        """
        mine, theirs = _effective(self.overrides), _effective(other.overrides)
        if self.default != other.default or set(mine) != set(theirs):
            return False
        place = {override: index for index, override in enumerate(theirs)}
        return all(
            place[before] < place[after]
            for before, after in combinations(mine, 2)
            if before.precision != after.precision
            and not (before.names_one_layer and after.names_one_layer)
        )

    def to_dict(self) -> dict[str, Any]:
        """Returns the configuration as plain values."""
        return asdict(self)

    @staticmethod
    def from_dict(fields: Mapping[str, Any]) -> PrecisionConfig:
        """Rebuilds what to_dict returned.

        Raises:
            InvalidConfigError: a value is out of its range.
            KeyError, TypeError, ValueError: the fields are others.
        """
        overrides = tuple(
            Override(str(override["pattern"]), _layer_precision(override["precision"]))
            for override in fields["overrides"]
        )
        return PrecisionConfig(_layer_precision(fields["default"]), overrides)


ALL_INT8 = PrecisionConfig()


def check_as_trained(asked: PrecisionConfig | None, trained: PrecisionConfig) -> None:
    """Checks that a conversion of trained weights asks for no other precision than theirs.

    Raises:
        InvalidConfigError: it does; the weights were trained to be rounded as the training was
            told.
    """
    if asked is not None and not asked.means_the_same(trained):
        raise InvalidConfigError(
            f"precision is {asked.describe()}, and the training was for {trained.describe()}, "
            "which a conversion keeps; leave precision out, or train for the other one",
            reason="PRECISION_GIVEN_TWICE",
            field="precision",
        )


def _effective(overrides: tuple[Override, ...]) -> tuple[Override, ...]:
    """Leaves out what is given again for the same pattern, and so never counts."""
    last = {override.pattern: index for index, override in enumerate(overrides)}
    return tuple(o for index, o in enumerate(overrides) if last[o.pattern] == index)


def _layer_precision(fields: Mapping[str, Any]) -> LayerPrecision:
    weights = WeightBits(fields["weights"])
    grouped = LayerPrecision(WeightBits.INT4, int(fields["group_size"]))  # refuses unknown sizes
    # Earlier versions kept a group size for other weights as well, where it means nothing.
    return grouped if weights is WeightBits.INT4 else LayerPrecision(weights)
