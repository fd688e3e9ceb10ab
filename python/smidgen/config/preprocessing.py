"""What is done to an image before a model sees it. docs/preprocessing.md defines it. No Pillow."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn, TypeVar

from smidgen.config.checks import check_within
from smidgen.errors import InvalidConfigError

MOST_EXTENT = 4096
"""Largest height and width that images are brought to."""

_KEYS = {
    *("input", "channels", "resize", "shorter_side", "crop"),
    *("resampling", "scale", "mean", "std", "layout"),
}


class Resampling(enum.StrEnum):
    """The filter of a resize."""

    BILINEAR = "bilinear"
    BICUBIC = "bicubic"


class ImageLayout(enum.StrEnum):
    """The order of the axes that the model takes."""

    NCHW = "nchw"
    NHWC = "nhwc"


@dataclass(frozen=True, slots=True)
class Extent:
    """Height and width in pixels, each 1 to 4096."""

    height: int
    width: int

    def __post_init__(self) -> None:
        check_within("height", self.height, least=1, most=MOST_EXTENT)
        check_within("width", self.width, least=1, most=MOST_EXTENT)


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How an image becomes the input of a model: resize, crop, then (scale * value - mean) / std.

    Attributes:
        input: The model's input that takes images; empty for its only one.
        channels: 3 for red, green and blue, 1 for grey.
        resize: What the whole image is resized to, whatever its shape; None for no such resize.
        shorter_side: Pixels of the shorter side after a resize that keeps the shape, instead of
            `resize`. Needs `crop`.
        crop: The middle part that is kept after resizing; None for all.
        resampling: The filter of the resize.
        scale: What values from 0 to 255 are multiplied by.
        mean: What is taken from scaled values: one number, or one a channel.
        std: What the differences are divided by: one number, or one a channel, each above 0.
        layout: Order of the axes of the input.
    """

    input: str = ""
    channels: int = 3
    resize: Extent | None = None
    shorter_side: int | None = None
    crop: Extent | None = None
    resampling: Resampling = Resampling.BILINEAR
    scale: float = 1 / 255
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    layout: ImageLayout = ImageLayout.NCHW

    def __post_init__(self) -> None:
        if self.channels not in (1, 3):
            _refuse("channels", f"channels is {self.channels}, expected 1 or 3")
        self._check_geometry()
        check_within("scale", self.scale, least=1e-6, most=1e6)
        for name, values in (("mean", self.mean), ("std", self.std)):
            if len(values) not in (1, self.channels):
                _refuse(name, f"{name} has {len(values)} numbers, expected 1 or one a channel")
        for value in self.mean:
            check_within("mean", value, least=-1e6, most=1e6)
        for value in self.std:
            check_within("std", value, least=1e-6, most=1e6)

    @property
    def extent(self) -> Extent | None:
        """Height and width of what comes out; None where images keep their own."""
        return self.crop or self.resize

    def to_document(self) -> dict[str, Any]:
        """Returns the plain values that from_document reads."""
        return {
            "input": self.input,
            "channels": self.channels,
            "resize": _pair(self.resize),
            "shorter_side": self.shorter_side,
            "crop": _pair(self.crop),
            "resampling": self.resampling.value,
            "scale": self.scale,
            "mean": list(self.mean),
            "std": list(self.std),
            "layout": self.layout.value,
        }

    @staticmethod
    def from_document(document: object) -> Preprocessing:
        """Reads what to_document returned.

        Raises:
            InvalidConfigError: the document has another form, or a value is out of its range.
        """
        if not isinstance(document, Mapping):
            _refuse("preprocessing", "the preprocessing is no object, expected one with its fields")
        _check_keys(document)
        shorter_side = document["shorter_side"]
        return Preprocessing(
            input=_text("input", document["input"]),
            channels=_integer("channels", document["channels"]),
            resize=_extent("resize", document["resize"]),
            shorter_side=None if shorter_side is None else _integer("shorter_side", shorter_side),
            crop=_extent("crop", document["crop"]),
            resampling=_member("resampling", Resampling, document["resampling"]),
            scale=_number("scale", document["scale"]),
            mean=_numbers("mean", document["mean"]),
            std=_numbers("std", document["std"]),
            layout=_member("layout", ImageLayout, document["layout"]),
        )

    def _check_geometry(self) -> None:
        if len(self.input) > 512 or not (self.input.isprintable() or not self.input):
            _refuse("input", f"input is {self.input[:64]!r}, expected the name of an input")
        if self.shorter_side is not None:
            check_within("shorter_side", self.shorter_side, least=1, most=MOST_EXTENT)
            if self.resize is not None or self.crop is None:
                _refuse(
                    "shorter_side",
                    "shorter_side is given with resize or without crop, so that images have either "
                    "two sizes or none; give shorter_side and crop, or resize",
                )
        smallest = self.resize
        if self.shorter_side is not None:
            smallest = Extent(self.shorter_side, self.shorter_side)
        if self.crop is None or smallest is None:
            return
        if self.crop.height > smallest.height or self.crop.width > smallest.width:
            _refuse("crop", "crop is larger than what images are resized to; crop less of them")


@dataclass(frozen=True, slots=True)
class Augmentation:
    """What is drawn anew for each image in each epoch of training.

    Attributes:
        flip: Whether every other image, at random, is mirrored from left to right.
        least_area: Smallest share of an image's area that is kept, above 0 to 1. With 1 the
            images are cropped as the preprocessing says; below 1 a part at a random place, with
            sides of a ratio from 3:4 to 4:3, is resized to the model's size instead.
    """

    flip: bool = False
    least_area: float = 1.0

    def __post_init__(self) -> None:
        check_within("least_area", self.least_area, least=0.01, most=1.0)


def _refuse(field: str, found: str) -> NoReturn:
    raise InvalidConfigError(found, field=field)


def _pair(extent: Extent | None) -> list[int] | None:
    return None if extent is None else [extent.height, extent.width]


def _check_keys(document: Mapping[Any, Any]) -> None:
    unknown = sorted(str(name)[:80] for name in document.keys() - _KEYS)
    missing = sorted(_KEYS - document.keys())
    if unknown:
        _refuse(
            "preprocessing",
            f"{unknown[0]!r} is no field of a preprocessing, expected {', '.join(sorted(_KEYS))}",
        )
    if missing:
        _refuse("preprocessing", f"the preprocessing lacks {', '.join(missing)}; give it")


def _mistyped(field: str, value: object, expected: str) -> NoReturn:
    _refuse(field, f"{field} is {str(value)[:80]!r}, expected {expected}")


def _extent(field: str, value: object) -> Extent | None:
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2:
        _mistyped(field, value, "a pair [height, width]")
    return Extent(_integer(field, value[0]), _integer(field, value[1]))


def _text(field: str, value: object) -> str:
    if not isinstance(value, str):
        _mistyped(field, value, "a text")
    return value


def _integer(field: str, value: object) -> int:
    if type(value) is not int:
        _mistyped(field, value, "an integer")
    return value


def _number(field: str, value: object) -> float:
    # An integer may have more digits than a float holds.
    if type(value) not in (int, float) or not isinstance(value, int | float):
        _mistyped(field, value, "a number")
    if isinstance(value, int) and abs(value) > 1 << 53:
        _refuse(field, f"{field} has an integer out of its range, expected at most 2**53")
    return float(value)


def _numbers(field: str, value: object) -> tuple[float, ...]:
    if not isinstance(value, list) or len(value) > 3:
        _mistyped(field, value, "a list of one number, or of one a channel")
    return tuple(_number(field, item) for item in value)


_Member = TypeVar("_Member", bound=enum.StrEnum)


def _member(field: str, kind: type[_Member], value: object) -> _Member:
    if not isinstance(value, str) or value not in list(kind):
        _mistyped(field, value, f"one of {', '.join(kind)}")
    return kind(value)
