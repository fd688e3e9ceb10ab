"""Tells whether a file consists of the inputs that its model was exported with."""

from __future__ import annotations

_FEW_BYTES = 4 << 20  # as much as examples of usual sizes take


def example_warnings(example_bytes: int, file_bytes: int) -> tuple[str, ...]:
    """Returns a warning for people if example inputs are a large part of a file.

    Args:
        example_bytes: What they take.
        file_bytes: The size of the file.
    """
    if example_bytes <= _FEW_BYTES or 2 * example_bytes < file_bytes:
        return ()
    return (
        f"{example_bytes:,} of the file's {file_bytes:,} bytes are the example inputs that it was "
        "exported with, which nothing here reads. An example that is a part of a larger tensor, "
        "such as X[:2], brings all of that along, data that others may not be meant to have "
        "included: export with X[:2].clone().",
    )
