"""The stable reasons for which an ONNX model is refused, and how the errors are made."""

from __future__ import annotations

from enum import StrEnum

from smidgen.errors import InvalidModelError


class OnnxReason(StrEnum):
    """Why an ONNX file is refused."""

    MALFORMED = "ONNX_MALFORMED"
    TOO_LARGE = "ONNX_TOO_LARGE"
    UNKNOWN_FIELD = "ONNX_UNKNOWN_FIELD"
    UNSUPPORTED_VERSION = "ONNX_UNSUPPORTED_VERSION"
    CUSTOM_DOMAIN = "ONNX_CUSTOM_DOMAIN"
    FUNCTIONS = "ONNX_FUNCTIONS"
    CONTROL_FLOW = "ONNX_CONTROL_FLOW"
    EXTERNAL_DATA = "ONNX_EXTERNAL_DATA"
    SPARSE_TENSOR = "ONNX_SPARSE_TENSOR"
    TRAINING_INFO = "ONNX_TRAINING_INFO"
    UNSUPPORTED_TYPE = "ONNX_UNSUPPORTED_TYPE"
    BAD_TENSOR = "ONNX_BAD_TENSOR"
    BAD_WEIGHT = "ONNX_BAD_WEIGHT"
    BAD_NAME = "ONNX_BAD_NAME"
    BAD_ATTRIBUTE = "ONNX_BAD_ATTRIBUTE"
    BAD_SIGNATURE = "ONNX_BAD_SIGNATURE"
    DYNAMIC_SHAPE_UNSUPPORTED = "ONNX_DYNAMIC_SHAPE_UNSUPPORTED"
    UNDEFINED_VALUE = "ONNX_UNDEFINED_VALUE"
    DUPLICATE_VALUE = "ONNX_DUPLICATE_VALUE"
    SHAPE_MISMATCH = "ONNX_SHAPE_MISMATCH"
    QUANTIZED_MODEL = "ONNX_QUANTIZED_MODEL"
    UNSUPPORTED_QUANTIZATION = "ONNX_UNSUPPORTED_QUANTIZATION"


def refusal(reason: OnnxReason, found: str, **metadata: str | int | float) -> InvalidModelError:
    """Makes the error for a file that is refused.

    Args:
        reason: Its stable reason.
        found: What was found and what was expected, a sentence.
        metadata: The variable parts of the sentence.
    """
    return InvalidModelError(f"The model cannot be read: {found}", reason=reason.value, **metadata)
