"""What deserves attention about a calibration. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from smidgen.activation_range import ActivationRange
from smidgen.plural import counted
from smidgen.qparams import REPRESENTABLE_RANGES
from smidgen.statistics import ActivationStatistics

FEW_SAMPLES = 32
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
    shown = ", ".join(map(str, channels[:_SHOWN_CHANNELS]))
    more = f" and {len(channels) - _SHOWN_CHANNELS} more" if len(channels) > _SHOWN_CHANNELS else ""
    state = "are dead" if not high[list(channels)].any() else "never change"
    return (
        f"{len(channels)} of {len(high)} channels of {name} {state} in all samples "
        f"({shown}{more}); send samples that excite them, or prune them"
    )
