"""A whole calibration profile as bytes: a safetensors file. Needs no torch.

Its metadata hold the profile's document, its tensors the statistics, one after the other: the
activations in the order of the document's ranges.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

import numpy as np
import safetensors
import safetensors.numpy
from numpy.typing import NDArray

from smidgen.errors import CalibrationError
from smidgen.histogram import Histogram
from smidgen.profile import CalibrationProfile
from smidgen.statistics import ActivationStatistics

_DOCUMENT = "smidgen"
_GRID = ("exponent", "first", "capacity", "cells", "channels")
_NO_CHANNELS = -1


def encode_profile(profile: CalibrationProfile) -> bytes:
    """Encodes a profile with its statistics; equal profiles give equal bytes."""
    tensors = _tensors(list(profile.statistics.values()))
    metadata = {_DOCUMENT: profile.to_json().decode()}
    return safetensors.numpy.save(tensors, metadata)


def decode_profile(encoded: bytes) -> CalibrationProfile:
    """Decodes what encode_profile wrote, or a document of to_json, which has no statistics.

    Raises:
        CalibrationError: the bytes are something else.
    """
    # The first byte of a safetensors file is a multiple of 8, which "{" is not.
    if encoded.startswith(b"{"):
        return CalibrationProfile.from_json(encoded)
    try:
        return _decode(encoded)
    except (safetensors.SafetensorError, ValueError, KeyError, IndexError, TypeError) as error:
        raise CalibrationError(
            "this is not a calibration profile; calibrate the model again",
            reason="INVALID_PROFILE",
        ) from error


def encode_statistics(statistics: Mapping[str, ActivationStatistics]) -> bytes:
    """Encodes statistics without a profile; equal ones give equal bytes."""
    names = json.dumps(list(statistics), separators=(",", ":"))
    return safetensors.numpy.save(_tensors(list(statistics.values())), {_DOCUMENT: names})


def decode_statistics(encoded: bytes) -> dict[str, ActivationStatistics]:
    """Decodes what encode_statistics wrote.

    Raises:
        ValueError, KeyError, IndexError, TypeError or SafetensorError: the bytes are something
            else.
    """
    names = json.loads(_metadata(encoded)[_DOCUMENT])
    tensors = safetensors.numpy.load(encoded)
    return dict(zip(names, _statistics(tensors), strict=True)) if tensors else {}


def _tensors(found: Sequence[ActivationStatistics]) -> dict[str, NDArray[Any]]:
    if not found:
        return {}
    grid = {
        "exponent": [one.histogram.exponent for one in found],
        "first": [one.histogram.first for one in found],
        "capacity": [one.histogram.capacity for one in found],
        "cells": [len(one.histogram.counts) for one in found],
        "channels": [
            _NO_CHANNELS if one.channel_low is None else len(one.channel_low) for one in found
        ],
    }
    return {
        **{name: np.array(grid[name], np.int64) for name in _GRID},
        "ends": np.array([[one.low, one.high] for one in found], np.float64),
        "counts": np.concatenate([one.histogram.counts for one in found]),
        "channel_low": _joined([one.channel_low for one in found]),
        "channel_high": _joined([one.channel_high for one in found]),
    }


def _joined(parts: Sequence[NDArray[np.float32] | None]) -> NDArray[np.float32]:
    return np.concatenate([np.empty(0, np.float32), *(part for part in parts if part is not None)])


def _decode(encoded: bytes) -> CalibrationProfile:
    document = _metadata(encoded)[_DOCUMENT]
    profile = CalibrationProfile.from_json(document.encode())
    tensors = safetensors.numpy.load(encoded)
    if not tensors:
        return profile
    found = dict(zip(profile.ranges, _statistics(tensors), strict=True))
    return dataclasses.replace(profile, statistics=found)


def _statistics(tensors: Mapping[str, NDArray[Any]]) -> Iterator[ActivationStatistics]:
    for tensor in tensors.values():
        tensor.flags.writeable = False
    counts = _parts(tensors["counts"], tensors["cells"])
    channels = np.maximum(tensors["channels"], 0)
    lows, highs = (_parts(tensors[f"channel_{end}"], channels) for end in ("low", "high"))
    for i, (low, high) in enumerate(tensors["ends"].tolist()):
        has_channels = tensors["channels"][i] != _NO_CHANNELS
        exponent, first, capacity = (int(tensors[name][i]) for name in _GRID[:3])
        yield ActivationStatistics(
            low=low,
            high=high,
            histogram=Histogram(exponent, first, counts[i], capacity),
            channel_low=lows[i] if has_channels else None,
            channel_high=highs[i] if has_channels else None,
        )


def _parts(joined: NDArray[Any], sizes: NDArray[np.int64]) -> list[NDArray[Any]]:
    stops = list(accumulate(sizes.tolist(), initial=0))
    if stops[-1] != len(joined):
        raise ValueError("the parts are not the whole")
    return [joined[start:stop] for start, stop in pairwise(stops)]


def _metadata(encoded: bytes) -> Mapping[str, str]:
    """Reads the metadata, which the library gives for files alone."""
    size = int.from_bytes(encoded[:8], "little")
    metadata: Mapping[str, str] = json.loads(encoded[8 : 8 + size])["__metadata__"]
    return metadata
