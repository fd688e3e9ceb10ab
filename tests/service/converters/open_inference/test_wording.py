"""Triton's words: only the message changes."""

from __future__ import annotations

import pytest

from smidgen.errors import InvalidTensorError, SmidgenError
from smidgen_service.converters.open_inference.wording import in_tritons_words, tritons_words
from smidgen_service.errors import DeadlineError, DrainingError, NotFoundError, OverloadedError
from smidgen_service.status import ending_of


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (
            NotFoundError("model", "models/m"),
            "Request for unknown model: 'm' is not found",
        ),
        (
            NotFoundError("model_version", "models/m/versions/3"),
            "Request for unknown model: 'm' version 3 is not found",
        ),
        (OverloadedError("9 wait", retry_after_s=1.0), "Exceeds maximum queue size: 9 wait"),
        (DrainingError("it stops"), "Server not ready: it stops"),
        (DeadlineError("too late"), "Request timeout expired: too late"),
        (
            InvalidTensorError("m", reason="TENSOR_SHAPE_MISMATCH", field="images"),
            "m",
        ),
    ],
)
def test_message_is_tritons_and_all_else_stays(error: SmidgenError, message: str) -> None:
    reworded = in_tritons_words(error, "m")
    assert reworded.message == str(reworded) == message
    assert type(reworded) is type(error)
    assert (reworded.reason, reworded.metadata) == (error.reason, error.metadata)
    assert ending_of(reworded).code is ending_of(error).code
    if isinstance(error, OverloadedError):
        assert dict(ending_of(reworded).trailers)["grpc-retry-pushback-ms"] == "1000"


def test_errors_without_words_pass_as_they_are() -> None:
    error = InvalidTensorError("m", reason="TENSOR_NOT_FINITE")
    with pytest.raises(InvalidTensorError) as caught, tritons_words("m"):
        raise error
    assert caught.value is error


def test_long_names_are_cut() -> None:
    error = NotFoundError("model", "models/m")
    assert len(in_tritons_words(error, "x" * 5000).message) < 150
