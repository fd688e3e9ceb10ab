"""Which methods are not what the server is for, but tell about it."""

from __future__ import annotations

OPEN_INFERENCE = "/inference.GRPCInferenceService/"
_PROBES = (
    "/grpc.health.v1.Health/",
    f"{OPEN_INFERENCE}ServerLive",
    f"{OPEN_INFERENCE}ServerReady",
)
INFERENCES = frozenset(
    (
        "/smidgen.v1.InferenceService/Infer",
        f"{OPEN_INFERENCE}ModelInfer",
        f"{OPEN_INFERENCE}ModelStreamInfer",
    )
)
"""Methods whose calls are inferences."""
_REFLECTION = "/grpc.reflection."


def is_probe(path: str) -> bool:
    """Tells whether a method tells how the server is."""
    return path.startswith(_PROBES)


def is_always_served(path: str) -> bool:
    """Tells whether a method answers as well while the server starts and stops."""
    return is_probe(path) or path.startswith(_REFLECTION)
