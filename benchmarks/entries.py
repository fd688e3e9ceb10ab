"""Who is measured, and with which of their settings."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.levels import level_limits
from benchmarks.nets import NETS, ImageNet
from benchmarks.peers import Entry
from benchmarks.subject import Subject

OURS = "smidgen"
# What each runtime is measured with; its best variant counts. `qdq` runs our weights.
IMAGE_VARIANTS: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("qdq", "static"),
    "openvino": ("qdq", "nncf"),
    "inductor": ("static",),
    "pytorch": ("contiguous", "channels-last"),
}
TOKEN_VARIANTS: dict[str, tuple[str, ...]] = {
    "onnxruntime": ("qdq", "static", "dynamic"),
    "openvino": ("qdq", "nncf"),
    "inductor": ("static", "dynamic"),
    "pytorch": ("contiguous",),
}
FLOAT_PEERS = {"pytorch"}


def entries(
    subject: Subject,
    isa: str,
    threads: int,
    peers: Sequence[str],
    *,
    quick: bool = False,
    uncapped: bool = False,
) -> list[Entry]:
    """Returns all contestants, the engine first; without a program only peers on their own.

    Args:
        subject: What they run.
        isa: The engine's level, which limits the peers too.
        threads: Threads of every contestant.
        peers: Runtimes to compare with.
        quick: Leaves out all but the first variant of each peer.
        uncapped: Lets peers use all that the CPU has, whatever the engine's level.
    """
    is_on_images = isinstance(NETS[subject.net], ImageNet)
    variants = IMAGE_VARIANTS if is_on_images else TOKEN_VARIANTS
    found = [Entry(OURS, isa)]
    for peer in peers:
        limits = {} if uncapped else level_limits(peer, isa)
        for variant in variants[peer][: 1 if quick else None]:
            found.append(Entry(peer, variant, limits))
            if peer == "onnxruntime" and threads > 1 and not quick:
                found.append(Entry(peer, f"{variant} no-spinning", limits))
    if not subject.artifact.exists():
        found = [entry for entry in found if entry.runtime != OURS and "qdq" not in entry.variant]
    return found


def integer_peers(peers: Sequence[str]) -> list[str]:
    """Returns the peers that run int8; the ratio is to the best of them."""
    return [peer for peer in peers if peer not in FLOAT_PEERS]
