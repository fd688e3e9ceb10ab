"""What belongs to an optional extra of the package, and what to say where it is missing."""

from __future__ import annotations

import importlib.util

from smidgen.errors import MissingExtraError


def require_onnx() -> None:
    """Makes sure that ONNX files can be read and written here.

    Raises:
        MissingExtraError: onnx is not installed.
    """
    if importlib.util.find_spec("onnx") is None:
        raise MissingExtraError(
            "ONNX files need the package onnx, which is not installed here; install smidgen[onnx]",
            extra="onnx",
        )


def require_torch() -> None:
    """Makes sure that calibration, training and conversion can run here.

    Raises:
        MissingExtraError: torch is not installed.
    """
    if importlib.util.find_spec("torch") is None:
        raise MissingExtraError(
            "calibrating, training and converting need torch, which is not installed here; "
            "install smidgen[optimize]",
            extra="optimize",
        )


def require_images() -> None:
    """Makes sure that images can be decoded here.

    Raises:
        MissingExtraError: Pillow is not installed.
    """
    if importlib.util.find_spec("PIL") is None:
        raise MissingExtraError(
            "JPEG and PNG images need the package pillow, which is not installed here; install "
            "smidgen[images]",
            extra="images",
        )


def require_parquet() -> None:
    """Makes sure that Parquet files can be read here.

    Raises:
        MissingExtraError: pyarrow is not installed.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingExtraError(
            "Parquet files need the package pyarrow, which is not installed here; install "
            "smidgen[parquet]",
            extra="parquet",
        )
