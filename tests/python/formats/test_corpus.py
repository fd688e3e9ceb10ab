"""Every hostile file of the corpus is refused for its reason, in bounded time and memory."""

from __future__ import annotations

import time
import tracemalloc
from pathlib import Path

import pytest

from smidgen.errors import InvalidModelError, SmidgenError, UnsupportedOperatorError
from smidgen.formats.onnx_import import OnnxReason, read_onnx
from smidgen.formats.pt2 import Pt2Reason
from smidgen.formats.strict_json import JsonReason
from smidgen.formats.zip_archive import ZipReason
from tests.python.formats.corpus.hostile import HOSTILE_FILES
from tests.python.formats.corpus.onnx_models import good_model

# Seconds of one core: far more than any file takes, far less than a flood would.
MOST_SECONDS = 20
SPARE_BYTES = 64 << 20


@pytest.mark.parametrize("name", HOSTILE_FILES)
def test_hostile_file_is_refused(name: str, tmp_path: Path) -> None:
    file, path = HOSTILE_FILES[name], tmp_path / "file"
    file.write(path)
    tracemalloc.start()
    start = time.process_time()
    try:
        with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as refusal:
            file.read(path)
        seconds = time.process_time() - start
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert refusal.value.reason == file.reason, refusal.value.message
    assert peak <= path.stat().st_size + SPARE_BYTES
    assert seconds <= MOST_SECONDS
    assert len(refusal.value.message) < 6000
    assert refusal.value.message.isprintable()


def test_every_reason_has_a_file() -> None:
    reasons = {*Pt2Reason, *ZipReason, *JsonReason, *OnnxReason}
    assert {file.reason for file in HOSTILE_FILES.values()} == {*reasons, "UNSUPPORTED_OPERATOR"}


def test_reasons_are_words_of_their_format() -> None:
    for prefix, reasons in (
        ("PT2", Pt2Reason), ("ZIP", ZipReason), ("JSON", JsonReason), ("ONNX", OnnxReason),
    ):  # fmt: skip
        assert all(reason == f"{prefix}_{reason.name}" for reason in reasons)
        assert all(len(reason) <= 63 for reason in reasons)


def test_the_good_onnx_model_is_read(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(good_model().SerializeToString())
    model = read_onnx(path)
    assert [spec.shape for spec in (*model.inputs, *model.outputs)] == [(None, 3), (None, 2)]
    assert model.weights["w"].tolist() == [[0, 1], [2, 3], [4, 5]]


def test_errors_are_of_the_library() -> None:
    assert issubclass(InvalidModelError, SmidgenError)
    assert issubclass(UnsupportedOperatorError, SmidgenError)
