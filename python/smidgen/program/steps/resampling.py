"""Steps that give uint8 images another size."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.program.steps.fields import ConstantName, IntPair, Padding, TensorName


@dataclass(frozen=True, slots=True)
class ConvTranspose2d:
    """Transposed convolution with int8 weights per output channel, requantized and clamped.

    Each value of the input adds its window of weights to the output, `stride` apart. `padding` is
    cut off at the ends and `output_padding` appended at bottom and right.

    Constants: weight [C, O / groups, KH, KW] int8; weight_scale [O] float32; bias [O] int32.
    """

    input: TensorName
    output: TensorName
    weight: ConstantName
    weight_scale: ConstantName
    bias: ConstantName
    stride: IntPair = (1, 1)
    padding: Padding = (0, 0, 0, 0)
    output_padding: IntPair = (0, 0)
    dilation: IntPair = (1, 1)
    groups: int = 1
    qmin: int = 0
    qmax: int = 255


@dataclass(frozen=True, slots=True)
class Resize:
    """Images of another size; input and output share scale and zero point.

    mode: one of RESIZE_MODES; `nearest` takes the value at floor(i * ratio), `nearest_exact` that
    at floor((i + 0.5) * ratio), `bilinear` interpolates between the pixels around the place.
    size: height and width of the output.
    ratio: pixels of the input for each of the output, vertically and horizontally; float32 values.
    align_corners: whether the centres of the corner pixels, not the corners, lie on each other.
    """

    input: TensorName
    output: TensorName
    mode: str
    size: IntPair
    ratio: tuple[float, ...]
    align_corners: bool = False


RESIZE_MODES = ("nearest", "nearest_exact", "bilinear")

ResamplingStep = ConvTranspose2d | Resize
