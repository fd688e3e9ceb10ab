"""The inputs that are kept reach everything, and none of them is needless."""

from __future__ import annotations

from pathlib import Path

from fuzz.keeping import keep, reached_by, smallest_cover
from fuzz.targets import TARGETS

A, B, C, D = (("file.py", line, line + 1) for line in range(4))


def test_the_smallest_input_of_those_that_reach_the_same_is_chosen() -> None:
    assert smallest_cover({b"long": {A}, b"b": {A}, b"a": {A}}) == [b"a"]


def test_an_input_that_larger_ones_make_needless_is_left_out() -> None:
    reached = {b"1": {A, B}, b"22": {A, C}, b"333": {B, D}}
    assert smallest_cover(reached) == [b"22", b"333"]


def test_the_arcs_of_an_input_are_those_of_the_library() -> None:
    no_file, good_file = (reached_by(TARGETS["onnx"], data) for data in (b"", b"\0\1"))
    assert {Path(file).parent.name for file, _, _ in no_file} >= {"formats", "onnx_import"}
    assert {Path(file).parent.name for file, _, _ in good_file - no_file} >= {"graph", "rules"}
    assert all("smidgen" in Path(file).parts for file, _, _ in good_file)


def test_keeping_replaces_what_was_kept_by_what_reaches_more(tmp_path: Path) -> None:
    found, kept = tmp_path / "found", tmp_path / "kept"
    found.mkdir()
    (found / "first").write_bytes(b"")
    (found / "same-path-but-longer").write_bytes(b"\0" * 9)
    count, reached = keep(TARGETS["artifact"], found, kept)
    assert [path.read_bytes() for path in kept.iterdir()] == [b""]
    assert count == 1
    assert reached > 100
    (found / "first").write_bytes(b"\0\0")
    assert keep(TARGETS["artifact"], found, kept)[1] >= reached
