"""What deserves attention about a calibration. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.activation_range import ActivationRange
from smidgen.plural import counted
from smidgen.qparams import REPRESENTABLE_RANGES
from smidgen.statistics import ActivationStatistics

FEW_SAMPLES = 32
SMALL_CHANNEL = 1 / 64
"""Share of a tensor's range below which a channel is small: it has fewer than four steps of 255 to
either side of 0, and rounding them is an error of an eighth of its values and more."""

SMALL_SHARE = 1 / 4
"""Share of the channels behind a ReLU that must be small to be told. Some of them are nearly dead
in sound nets, and ends do not tell them from small ones: up to 17 of 1027 in EfficientNet-lite0."""

_SHOWN_CHANNELS = 8
_SHOWN_RANGES = 8


def calibration_warnings(
    statistics: Mapping[str, ActivationStatistics],
    ranges: Mapping[str, ActivationRange],
    module_paths: Mapping[str, str],
    sample_count: int,
    batch_count: int,
) -> Iterator[str]:
    """Yields a sentence for each thing that makes ranges doubtful.

    Args:
        statistics: What was found, by activation.
        ranges: What was chosen, by activation.
        module_paths: Where activations are made in the user's model, as far as it is known.
        sample_count: Samples seen.
        batch_count: Batches seen.
    """
    if sample_count < FEW_SAMPLES:
        yield (
            f"only {counted(sample_count, 'sample')} {'was' if sample_count == 1 else 'were'} "
            f"seen; at least {FEW_SAMPLES} give more reliable ranges"
        )
    if batch_count == 1:
        yield "all ranges come from one batch; send several, so that none decides alone"
    if extreme := [name for name, chosen in ranges.items() if not chosen.has_scale]:
        yield _extreme_warning(extreme, ranges, module_paths)
    for activation, found in statistics.items():
        name = _named(activation, module_paths)
        if found.low == found.high:
            yield f"activation {name} is {found.low:g} in all samples; its range is a guess"
        elif found.constant_channels:
            yield _channel_warning(name, found)
        small = small_channels(found, ranges[activation])
        if small.size:
            yield _small_warning(name, small, found)


def small_channels(found: ActivationStatistics, chosen: ActivationRange) -> NDArray[np.intp]:
    """Returns the channels, in order, that have too little of the one scale of their tensor.

    Channels that never change are none of them. Nor are any where nothing is below 0 and they are
    few, for these may as well be channels that a ReLU hardly ever lets through.

    Args:
        found: What was found.
        chosen: The tensor's range.
    """
    low, high = found.channel_low, found.channel_high
    if low is None or high is None or not chosen.has_scale:
        return np.empty(0, np.intp)
    # In float64: the ends of two channels may be further apart than float32 reaches.
    reach = np.maximum(np.abs(low.astype(np.float64)), np.abs(high.astype(np.float64)))
    is_alive = low != high
    width = max(chosen.high, 0.0) - min(chosen.low, 0.0)
    small = np.flatnonzero(is_alive & (reach < SMALL_CHANNEL * width))
    is_behind_relu = found.low >= 0.0
    if is_behind_relu and len(small) < SMALL_SHARE * np.count_nonzero(is_alive):
        return np.empty(0, np.intp)
    return small


def _named(activation: str, module_paths: Mapping[str, str]) -> str:
    path = module_paths.get(activation)
    return activation if path is None else f"{path} ({activation})"


def _extreme_warning(
    extreme: Sequence[str],
    ranges: Mapping[str, ActivationRange],
    module_paths: Mapping[str, str],
) -> str:
    shown = ", ".join(
        f"{_named(name, module_paths)} [{ranges[name].low:.7g}, {ranges[name].high:.7g}]"
        for name in extreme[:_SHOWN_RANGES]
    )
    more = len(extreme) - _SHOWN_RANGES
    return (
        f"ranges that integers cannot hold: {shown}{f' and {more} more' if more > 0 else ''}, "
        f"{REPRESENTABLE_RANGES}; what computes and reads these values stays in float. Rescale the "
        "model so that they are nearer to 1 to have it quantized"
    )


def _channel_warning(name: str, found: ActivationStatistics) -> str:
    channels, high = found.constant_channels, found.channel_high
    assert high is not None  # there are channels
    state = "are dead" if not high[list(channels)].any() else "never change"
    return (
        f"{len(channels)} of {len(high)} channels of {name} {state} in all samples "
        f"({_shown(channels)}); send samples that excite them, or prune them"
    )


def _small_warning(name: str, small: NDArray[np.intp], found: ActivationStatistics) -> str:
    assert found.channel_high is not None  # there are channels
    return (
        f"{len(small)} of {counted(len(found.channel_high), 'channel')} of {name} "
        f"{'has' if len(small) == 1 else 'have'} less than 1/{1 / SMALL_CHANNEL:.0f} of the range "
        f"that all share with one scale, which is coarse for them ({_shown(small.tolist())}); "
        "equalize the layers (--equalize, post_training.equalize), or keep those that make and "
        "read it in float (--override NAME=float)"
    )


def _shown(channels: Sequence[int]) -> str:
    more = len(channels) - _SHOWN_CHANNELS
    listed = ", ".join(map(str, channels[:_SHOWN_CHANNELS]))
    return f"{listed} and {more} more" if more > 0 else listed
