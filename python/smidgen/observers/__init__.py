"""Estimators of an activation's range, one a file, and the table that names them."""

from __future__ import annotations

from collections.abc import Callable

from smidgen.config import CalibrationConfig, ObserverMethod
from smidgen.observers.base import Observer
from smidgen.observers.min_max import MinMaxObserver
from smidgen.observers.moving_average import MovingAverageObserver

__all__ = ["OBSERVERS", "MinMaxObserver", "MovingAverageObserver", "Observer", "make_observer"]

OBSERVERS: dict[ObserverMethod, Callable[[CalibrationConfig], Observer]] = {
    ObserverMethod.MIN_MAX: lambda _: MinMaxObserver(),
    ObserverMethod.MOVING_AVERAGE: lambda config: MovingAverageObserver(config.averaging_constant),
}


def make_observer(config: CalibrationConfig) -> Observer:
    """Returns a fresh observer of the configured method."""
    return OBSERVERS[config.method](config)
