"""What looks at activations while a model runs, one a file."""

from smidgen.observers.histogram import HistogramObserver
from smidgen.observers.moving_average import MovingAverageObserver

__all__ = ["HistogramObserver", "MovingAverageObserver"]
