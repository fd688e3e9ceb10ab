"""The stable reasons for which an exported model is refused, and how the errors are made."""

from __future__ import annotations

from enum import StrEnum

from smidgen.errors import InvalidModelError


class Pt2Reason(StrEnum):
    """Why a .pt2 file is refused, besides the ZIP_ reasons of archives and JSON_ of texts."""

    LEGACY_FORMAT = "PT2_LEGACY_FORMAT"
    BAD_LAYOUT = "PT2_BAD_LAYOUT"
    MISSING_ENTRY = "PT2_MISSING_ENTRY"
    UNKNOWN_ENTRY = "PT2_UNKNOWN_ENTRY"
    MULTIPLE_ROOTS = "PT2_MULTIPLE_ROOTS"
    MULTIPLE_MODELS = "PT2_MULTIPLE_MODELS"
    COMPILED_CODE = "PT2_COMPILED_CODE"
    PICKLE_FORBIDDEN = "PT2_PICKLE_FORBIDDEN"
    UNSUPPORTED_VERSION = "PT2_UNSUPPORTED_VERSION"
    TOO_LARGE = "PT2_TOO_LARGE"
    BAD_SCHEMA = "PT2_BAD_SCHEMA"
    BAD_NAME = "PT2_BAD_NAME"
    BAD_WEIGHT = "PT2_BAD_WEIGHT"
    WEIGHT_OUT_OF_BOUNDS = "PT2_WEIGHT_OUT_OF_BOUNDS"
    WEIGHT_RECORD_MISMATCH = "PT2_WEIGHT_RECORD_MISMATCH"
    UNSUPPORTED_DTYPE = "PT2_UNSUPPORTED_DTYPE"
    UNSUPPORTED_LAYOUT = "PT2_UNSUPPORTED_LAYOUT"
    SYMBOLIC_EXPR_UNSUPPORTED = "PT2_SYMBOLIC_EXPR_UNSUPPORTED"
    DYNAMIC_SHAPE_UNSUPPORTED = "PT2_DYNAMIC_SHAPE_UNSUPPORTED"
    BAD_SIGNATURE = "PT2_BAD_SIGNATURE"
    UNSUPPORTED_SIGNATURE = "PT2_UNSUPPORTED_SIGNATURE"
    BAD_TREE = "PT2_BAD_TREE"
    UNDEFINED_VALUE = "PT2_UNDEFINED_VALUE"
    DUPLICATE_VALUE = "PT2_DUPLICATE_VALUE"
    UNUSED_VALUE = "PT2_UNUSED_VALUE"
    UNSUPPORTED_ARGUMENT = "PT2_UNSUPPORTED_ARGUMENT"
    BAD_ARGUMENT = "PT2_BAD_ARGUMENT"
    MUTATION_UNSUPPORTED = "PT2_MUTATION_UNSUPPORTED"
    SHAPE_MISMATCH = "PT2_SHAPE_MISMATCH"


def refusal(reason: Pt2Reason, found: str, **metadata: str | int | float) -> InvalidModelError:
    """Makes the error for a file that is refused.

    Args:
        reason: Its stable reason.
        found: What was found and what was expected, a sentence.
        metadata: The variable parts of the sentence.
    """
    return InvalidModelError(f"The model cannot be read: {found}", reason=reason.value, **metadata)
