"""Files that end in their digest: whatever happens to their bytes is found."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.sealed_file import BrokenSealError, read_sealed, write_sealed


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sealed")


@given(data=st.binary(max_size=100))
def test_data_comes_back(folder: Path, data: bytes) -> None:
    path = folder / "whole"
    write_sealed(path, data)
    assert read_sealed(path) == data
    assert len(path.read_bytes()) == len(data) + 48


@given(data=st.binary(max_size=100), draw=st.data())
def test_any_flipped_bit_is_found(folder: Path, data: bytes, draw: st.DataObject) -> None:
    path = folder / "flipped"
    write_sealed(path, data)
    content = bytearray(path.read_bytes())
    bit = draw.draw(st.integers(0, 8 * len(content) - 1))
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(BrokenSealError, match="flipped does not end in its digest"):
        read_sealed(path)


def test_every_truncation_is_found(folder: Path) -> None:
    path = folder / "cut"
    write_sealed(path, b"content of a file" * 5)
    content = path.read_bytes()
    for size in range(len(content)):
        path.write_bytes(content[:size])
        with pytest.raises(BrokenSealError):
            read_sealed(path)


def test_longer_file_is_found(folder: Path) -> None:
    path = folder / "longer"
    write_sealed(path, b"content")
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(BrokenSealError):
        read_sealed(path)
