"""What deserves attention about a calibration. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smidgen.statistics import ActivationStatistics

FEW_SAMPLES = 32
_SHOWN_CHANNELS = 8


def calibration_warnings(
    statistics: Mapping[str, ActivationStatistics],
    module_paths: Mapping[str, str],
    sample_count: int,
    batch_count: int,
) -> Iterator[str]:
    """Yields a sentence for each thing that makes ranges doubtful.

    Args:
        statistics: What was found, by activation.
        module_paths: Where activations are made in the user's model, as far as it is known.
        sample_count: Samples seen.
        batch_count: Batches seen.
    """
    if sample_count < FEW_SAMPLES:
        yield (
            f"only {sample_count} samples were seen; at least {FEW_SAMPLES} give more reliable "
            "ranges"
        )
    if batch_count == 1:
        yield "all ranges come from one batch; send several, so that none decides alone"
    for activation, found in statistics.items():
        path = module_paths.get(activation)
        name = activation if path is None else f"{path} ({activation})"
        if found.low == found.high:
            yield f"activation {name} is {found.low:g} in all samples; its range is a guess"
        elif found.constant_channels:
            yield _channel_warning(name, found)


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
