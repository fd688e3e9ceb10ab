"""The fuzz targets find what they are there for, and the kept inputs are all answered."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from fuzz import targets
from fuzz.archives import read_entries, write_archive
from fuzz.artifacts import seal, take_apart
from fuzz.json_edits import edit
from fuzz.recipe import Recipe
from fuzz.targets import DATA, TARGETS, TooLarge, TooSlow
from smidgen.artifact import decode_artifact
from smidgen.data.image_zip import read_image_zip
from smidgen.data.web_dataset import read_web_dataset
from smidgen.errors import ArtifactError, InvalidModelError
from smidgen.formats.onnx_import import read_onnx, read_quantized_onnx
from smidgen.formats.pt2 import read_pt2

INPUTS = sorted((DATA / "fuzz" / "inputs").rglob("*.bin"))


def test_the_good_files_are_read(tmp_path: Path) -> None:
    for path in (DATA / "fuzz" / "conv.onnx", DATA / "fuzz" / "encoder.onnx"):
        assert len(read_onnx(path).nodes) >= 15
    for path in (DATA / "fuzz").glob("*qdq.onnx"):
        assert len(read_quantized_onnx(path).steps) >= 12
    for path in sorted((DATA / "fuzz").glob("*.pt2")):
        copy = tmp_path / path.name
        copy.write_bytes(write_archive(read_entries(path)))
        assert read_pt2(copy).nodes == read_pt2(path).nodes
    assert read_web_dataset(DATA / "fuzz" / "images.tar").sample_count == 2
    assert read_image_zip(DATA / "fuzz" / "images.zip").class_names == ("cat", "dog")
    for path in (*DATA.glob("artifact-*.smidgen"), *(DATA / "fuzz").glob("*.smidgen")):
        assert decode_artifact(seal(*take_apart(path))).steps


@pytest.mark.parametrize("path", INPUTS, ids=lambda path: f"{path.parent.name}-{path.stem[:8]}")
def test_kept_input_is_answered(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_SECONDS", 20.0)  # a busy machine is no fault of a reader
    TARGETS[path.parent.name](path.read_bytes())


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_that_fails_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(path: Path) -> None:
        raise IndexError(path.name)

    _replace_reader(monkeypatch, name, broken)
    with pytest.raises(IndexError):
        TARGETS[name](b"\x01" * 20)


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_that_is_slow_is_found(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(targets, "MOST_SECONDS", -1.0)
    with pytest.raises(TooSlow):
        TARGETS[name](b"\x01" * 20)


@pytest.mark.parametrize("name", TARGETS)
def test_a_reader_that_takes_much_memory_is_found(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(targets, "MOST_GROWN_BYTES", -1)
    with pytest.raises(TooLarge):
        TARGETS[name](b"\x01" * 20)


@pytest.mark.parametrize("error", [InvalidModelError, ArtifactError])
def test_a_refusal_is_no_finding(
    error: type[InvalidModelError | ArtifactError], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> None:
        raise error(f"{path.name} is refused")

    _replace_reader(monkeypatch, "pt2", refuse)
    TARGETS["pt2"](b"\x01" * 20)


def _replace_reader(
    monkeypatch: pytest.MonkeyPatch, name: str, reader: Callable[[Path], None]
) -> None:
    readers = {
        **{"pt2": "read_pt2", "onnx": "read_onnx", "artifact": "load_artifact"},
        **{"shard": "read_web_dataset", "folders": "read_image_zip"},
    }
    monkeypatch.setattr(targets, readers[name], reader)


def test_equal_recipes_give_equal_edits() -> None:
    document = {"a": [1, 2, {"b": "text"}], "c": None}
    copies = [json.loads(json.dumps(document)) for _ in range(2)]
    for copy in copies:
        edit(copy, Recipe(bytes(range(1, 40))))
    assert copies[0] == copies[1]
    assert copies[0] != document


def test_a_recipe_stays_within_its_bounds() -> None:
    data = np.random.default_rng(0).bytes(999)
    recipe = Recipe(data)
    assert all(0 <= recipe.below(300) < 300 for _ in range(600))
    assert recipe.is_over
    assert (recipe.below(7), recipe.take(3), recipe.pick("ab")) == (0, b"", "a")


def test_packed_weights_are_changed_behind_the_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[bytes] = []
    monkeypatch.setattr(targets, "_read", lambda contents, _read: found.append(contents))
    TARGETS["artifact"](bytes.fromhex("0207b6793a"))
    with pytest.raises(ArtifactError, match=r"packed weight c\.w is not in the form"):
        decode_artifact(found[0])
