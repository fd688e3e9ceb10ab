"""The calibration profile: the range of every activation, as calibrate found it. Needs no torch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from smidgen.activation_range import ActivationRange
from smidgen.calibration_warnings import calibration_warnings
from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.errors import CalibrationError
from smidgen.histogram import Histogram
from smidgen.ranges import CHOICES, choose_range
from smidgen.ranges.clipping import clipped_share
from smidgen.statistics import ActivationStatistics, merge_statistics

__all__ = [
    "ActivationRange",
    "CalibrationProfile",
    "check_derivable",
    "make_profile",
    "merge_profiles",
]

FORMAT_VERSION = 2
MOST_VALUES = 1 << 53
"""Most values of one activation: up to here float64 counts them exactly."""


@dataclass(frozen=True, slots=True)
class CalibrationProfile:
    """What calibration learned about one model.

    Attributes:
        model_sha256: Digest of the model file that was calibrated; other models refuse the profile.
        method: How ranges were estimated.
        sample_count: Samples seen, at least 1.
        batch_count: Batches seen, at least 1.
        ranges: One range for each activation by its node in the imported graph, in execution order.
        warnings: What deserves attention, for people.
        averaging_constant: Weight of a new batch in the moving average; None for other methods, and
            in profiles of releases that did not keep it.
        percentile: Percent of the values that the method PERCENTILE did not clip at one end.
        statistics: What was kept of each activation's values, by the names of ranges; empty where
            nothing was.
        clipped_shares: The share of each activation's values outside its range, 0 to 1, counted in
            cells of the histogram; empty where no statistics were kept.
        module_paths: Where activations are made in the user's model, as far as it is known, by the
            names of ranges.
    """

    model_sha256: str
    method: ObserverMethod
    sample_count: int
    batch_count: int
    ranges: Mapping[str, ActivationRange]
    warnings: tuple[str, ...] = ()
    averaging_constant: float | None = None
    percentile: float = CalibrationConfig().percentile
    statistics: Mapping[str, ActivationStatistics] = field(default_factory=dict)
    clipped_shares: Mapping[str, float] = field(default_factory=dict)
    module_paths: Mapping[str, str] = field(default_factory=dict)

    def histogram(self, name: str) -> Histogram | None:
        """Returns how often values of an activation occur, or None if that was not kept."""
        found = self.statistics.get(name)
        return None if found is None else found.histogram

    @property
    def config(self) -> CalibrationConfig:
        """How the ranges were chosen."""
        if self.method is ObserverMethod.PERCENTILE:
            return CalibrationConfig(self.method, percentile=self.percentile)
        if self.averaging_constant is not None:
            return CalibrationConfig(self.method, averaging_constant=self.averaging_constant)
        return CalibrationConfig(self.method)

    def with_method(self, config: CalibrationConfig) -> CalibrationProfile:
        """Returns the profile with ranges that another method chooses, without running the model.

        Raises:
            CalibrationError: PROFILE_WITHOUT_STATISTICS, or METHOD_NEEDS_SAMPLES for the moving
                average, which depends on the order of batches.
        """
        check_derivable(config)
        _check_statistics(self)
        return make_profile(
            self.model_sha256,
            self.statistics,
            config,
            self.sample_count,
            self.batch_count,
            module_paths=self.module_paths,
        )

    def without_statistics(self) -> CalibrationProfile:
        """Returns the profile with its ranges alone, which is what training and conversion need."""
        return dataclasses.replace(self, statistics={})

    def to_json(self) -> bytes:
        """Encodes the profile without its statistics; equal profiles give equal bytes.

        `encode_profile` writes all of it.
        """
        document: dict[str, Any] = {
            "format_version": FORMAT_VERSION,
            "model_sha256": self.model_sha256,
            "method": self.method.value,
            "percentile": self.percentile,
            "sample_count": self.sample_count,
            "batch_count": self.batch_count,
            "ranges": {name: asdict(entry) for name, entry in self.ranges.items()},
            "clipped_shares": dict(self.clipped_shares),
            "warnings": list(self.warnings),
        }
        if self.averaging_constant is not None:
            document["averaging_constant"] = self.averaging_constant
        if self.module_paths:
            document["module_paths"] = dict(self.module_paths)
        return json.dumps(document, separators=(",", ":"), allow_nan=False).encode()

    @staticmethod
    def from_json(encoded: bytes) -> CalibrationProfile:
        """Decodes what to_json wrote, in this version or an earlier one.

        Raises:
            CalibrationError: the bytes are something else.
        """
        try:
            return _decode(json.loads(encoded))
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise CalibrationError(
                "this is not a calibration profile; calibrate the model again",
                reason="INVALID_PROFILE",
            ) from error


def make_profile(
    model_sha256: str,
    statistics: Mapping[str, ActivationStatistics],
    config: CalibrationConfig,
    sample_count: int,
    batch_count: int,
    *,
    averages: Mapping[str, ActivationRange] | None = None,
    module_paths: Mapping[str, str] | None = None,
) -> CalibrationProfile:
    """Makes a profile of what was kept of each activation.

    Args:
        model_sha256: Digest of the model file.
        statistics: By activation.
        config: How to choose ranges.
        sample_count: Samples seen.
        batch_count: Batches seen.
        averages: The ranges, for the moving average, which does not follow from statistics.
        module_paths: Where activations are made in the user's model, as far as it is known.
    """
    paths = module_paths or {}
    ranges = averages or {name: choose_range(found, config) for name, found in statistics.items()}
    return CalibrationProfile(
        model_sha256=model_sha256,
        method=config.method,
        sample_count=sample_count,
        batch_count=batch_count,
        ranges=ranges,
        warnings=tuple(calibration_warnings(statistics, ranges, paths, sample_count, batch_count)),
        averaging_constant=(
            config.averaging_constant if config.method is ObserverMethod.MOVING_AVERAGE else None
        ),
        percentile=config.percentile,
        statistics=statistics,
        clipped_shares={
            name: clipped_share(found, ranges[name]) for name, found in statistics.items()
        },
        module_paths=paths,
    )


def merge_profiles(
    left: CalibrationProfile, right: CalibrationProfile, config: CalibrationConfig | None = None
) -> CalibrationProfile:
    """Returns the profile of the samples of both; the order does not matter.

    Args:
        left: The one.
        right: The other, of the same model.
        config: How to choose ranges; None takes the method that both have.

    Raises:
        CalibrationError: PROFILE_MODEL_MISMATCH, PROFILE_WITHOUT_STATISTICS, PROFILE_TOO_LARGE;
            PROFILE_METHOD_MISMATCH if there is no config and the methods differ;
            METHOD_NEEDS_SAMPLES for the moving average.
    """
    config = config or _common_method(left, right)
    check_derivable(config)
    for profile in (left, right):
        _check_statistics(profile)
    _check_same_model(left, right)
    statistics = {
        name: merge_statistics(found, right.statistics[name])
        for name, found in left.statistics.items()
    }
    if any(found.histogram.total > MOST_VALUES for found in statistics.values()):
        raise CalibrationError(
            f"the profiles together have more than {MOST_VALUES} values of one activation; "
            "merge fewer",
            reason="PROFILE_TOO_LARGE",
        )
    return make_profile(
        left.model_sha256,
        statistics,
        config,
        left.sample_count + right.sample_count,
        left.batch_count + right.batch_count,
        # One of an earlier version has none.
        module_paths=left.module_paths or right.module_paths,
    )


def _common_method(left: CalibrationProfile, right: CalibrationProfile) -> CalibrationConfig:
    if left.config != right.config:
        raise CalibrationError(
            f"one profile has the method {left.method.value}, the other {right.method.value}, or "
            "another percentile; say which method the merged one has",
            reason="PROFILE_METHOD_MISMATCH",
        )
    return left.config


def check_derivable(config: CalibrationConfig) -> None:
    """Checks that a method's ranges follow from statistics.

    Raises:
        CalibrationError: METHOD_NEEDS_SAMPLES for the moving average.
    """
    if config.method not in CHOICES:
        raise CalibrationError(
            f"the method {config.method.value} depends on the order of batches and does not follow "
            f"from statistics; take {', '.join(method.value for method in CHOICES)}, or calibrate "
            "again",
            reason="METHOD_NEEDS_SAMPLES",
        )


def _check_statistics(profile: CalibrationProfile) -> None:
    if not profile.statistics:
        raise CalibrationError(
            "the profile has ranges alone and no statistics, as those of earlier versions and very "
            "large ones have; calibrate the model again",
            reason="PROFILE_WITHOUT_STATISTICS",
        )


def _check_same_model(left: CalibrationProfile, right: CalibrationProfile) -> None:
    same_names = left.statistics.keys() == right.statistics.keys()
    if left.model_sha256 != right.model_sha256 or not same_names:
        raise CalibrationError(
            f"one profile is of the model {left.model_sha256}, the other of {right.model_sha256}, "
            "or of another version of Smidgen; calibrate one model",
            reason="PROFILE_MODEL_MISMATCH",
            found=right.model_sha256,
            expected=left.model_sha256,
        )


def _decode(document: dict[str, Any]) -> CalibrationProfile:
    version = document["format_version"]
    if version not in (1, FORMAT_VERSION):
        raise CalibrationError(
            f"profile has format version {version}, expected 1 or {FORMAT_VERSION}",
            reason="INVALID_PROFILE",
            found=version,
        )
    ranges = {
        str(name): ActivationRange(low=float(entry["low"]), high=float(entry["high"]))
        for name, entry in document["ranges"].items()
    }
    constant = document.get("averaging_constant")
    return CalibrationProfile(
        model_sha256=str(document["model_sha256"]),
        method=ObserverMethod(document["method"]),
        sample_count=int(document["sample_count"]),
        batch_count=int(document["batch_count"]),
        ranges=ranges,
        warnings=tuple(str(text) for text in document["warnings"]),
        averaging_constant=None if constant is None else float(constant),
        percentile=float(document.get("percentile", CalibrationConfig().percentile)),
        clipped_shares={
            str(name): float(share) for name, share in document.get("clipped_shares", {}).items()
        },
        module_paths={
            str(name): str(path) for name, path in document.get("module_paths", {}).items()
        },
    )
