"""The float twin of a program: the same weights, and activations neither rounded nor clipped."""

from smidgen.health.twin.errors import NoTwinError
from smidgen.health.twin.writing import FloatTwin, float_twin

__all__ = ["FloatTwin", "NoTwinError", "float_twin"]
