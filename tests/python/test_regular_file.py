"""Opening files that others name."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from smidgen.artifact import load_artifact
from smidgen.client.uploads import LocalFile
from smidgen.config import Preprocessing
from smidgen.data.opening import open_dataset
from smidgen.formats.model_file import guess_format, read_model
from smidgen.inspection import inspect_file
from smidgen.regular_file import check_regular, open_regular
from tests.python.open_files import count_open_files


def test_a_regular_file_is_read_also_through_a_link(tmp_path: Path) -> None:
    path, link = tmp_path / "data", tmp_path / "link"
    path.write_bytes(b"abc")
    link.symlink_to(path)
    with open_regular(link) as file:
        assert os.get_blocking(file.fileno())
        assert file.read() == b"abc"
    check_regular(path)


def _pipe(path: Path) -> Path:
    os.mkfifo(path)
    return path


def _socket(path: Path) -> Path:
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(str(path))
    return path


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (_pipe, "it is a named pipe, expected a regular file"),
        (_socket, "it is a socket, expected a regular file"),
        (lambda _: Path("/dev/zero"), "it is a character device, expected a regular file"),
        (lambda path: path.parent, "Is a directory"),
        (lambda path: path, "No such file"),
    ],
)
def test_what_is_no_regular_file_is_refused_at_once(
    make: Callable[[Path], Path], found: str, tmp_path: Path
) -> None:
    path = make(tmp_path / "x")
    before = count_open_files()
    with pytest.raises(OSError, match=found) as caught:
        open_regular(path)
    assert caught.value.filename == str(path) or caught.value.filename == path
    assert count_open_files() == before


@pytest.mark.parametrize(
    ("read", "name"),
    [
        (guess_format, "m.pt2"), (inspect_file, "m"), (inspect_file, "m.onnx"), (read_model, "m"),
        (load_artifact, "m.smidgen"), (LocalFile.inspect, "m.pt2"),
        (open_dataset, "d.npz"),
        (open_dataset, "d.safetensors"),
        (open_dataset, "d.npy"),
        (lambda path: open_dataset(path, preprocessing=Preprocessing()), "d.tar"),
        (lambda path: open_dataset(path, preprocessing=Preprocessing()), "d.zip"),
    ],
)  # fmt: skip
def test_no_reader_waits_for_a_named_pipe(
    read: Callable[[Path], object], name: str, tmp_path: Path
) -> None:
    with pytest.raises(OSError, match="it is a named pipe"):
        read(_pipe(tmp_path / name))
