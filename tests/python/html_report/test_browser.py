"""The page in a real browser, where there is one."""

from __future__ import annotations

import shutil
import struct
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from smidgen.html_report import render
from tests.python.html_report.test_page import DOCUMENT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
WIDTH, HEIGHT = 1080, 1500

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """The page as [height, width, 3]."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "page.html").write_text(render(DOCUMENT), encoding="utf-8")
    shot = folder / "page.png"
    assert BROWSER is not None
    subprocess.run(
        [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--force-device-scale-factor=1",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={shot}",
            (folder / "page.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return _decode(shot)


def _decode(path: Path) -> NDArray[np.uint8]:
    """Reads a PNG of 8 bits a channel as browsers write it."""
    data, at, packed = path.read_bytes(), 8, b""
    width = height = channels = 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            width, height, depth, colour = struct.unpack(">IIBB", body[:10])
            assert depth == 8
            channels = {2: 3, 6: 4}[colour]
        packed += body if kind == b"IDAT" else b""
        at += 12 + length
    rows = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(height, 1 + width * channels)
    image = np.zeros((height + 1, width + 1, channels), np.uint8)
    for y in range(height):
        _unfilter(int(rows[y, 0]), rows[y, 1:].reshape(width, channels), image, y)
    return image[1:, 1:, :3]


def _unfilter(kind: int, row: NDArray[np.uint8], image: NDArray[np.uint8], y: int) -> None:
    """Undoes the filter of one line; image has a line and a column of 0 before the first."""
    above, out = image[y, 1:].astype(np.int64), image[y + 1]
    if kind == 0:
        out[1:] = row
    elif kind == 2:
        out[1:] = (row + above) & 255
    elif kind == 1:
        out[1:] = np.cumsum(row.astype(np.int64), axis=0) & 255
    else:
        _unfilter_by_pixel(kind, row.astype(np.int64), image, y)


def _unfilter_by_pixel(kind: int, row: NDArray[np.int64], image: NDArray[np.uint8], y: int) -> None:
    before, out = image[y].astype(np.int64), image[y + 1]
    left = np.zeros(row.shape[1], np.int64)
    for x in range(len(row)):
        above, corner = before[x + 1], before[x]
        if kind == 3:
            guess = (left + above) // 2
        else:
            distances = [abs(above - corner), abs(left - corner), abs(left + above - 2 * corner)]
            nearest = np.argmin(np.stack(distances), axis=0)
            guess = np.choose(nearest, [left, above, corner])
        left = (row[x] + guess) & 255
        out[x + 1] = left


def _share(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float(np.mean(np.all(np.abs(pixels.astype(int) - colour) <= 2, axis=-1)))


def test_the_tiles_stand_side_by_side_at_the_top(pixels: NDArray[np.uint8]) -> None:
    raised = (0xF5, 0xF6, 0xF8)
    top = pixels[:260]
    lines = np.flatnonzero(np.mean(np.all(top == raised, axis=-1), axis=1) > 0.5)
    assert lines.size > 40
    tiles = np.diff(np.all(top[lines[-2]] == raised, axis=-1).astype(int)) == 1
    assert int(tiles.sum()) == 4


def test_good_is_green_and_noise_is_red(pixels: NDArray[np.uint8]) -> None:
    green, red = (0x2B, 0x9A, 0x66), (0xD1, 0x3F, 0x3F)
    chart = pixels[540:780]
    columns = _share(chart, green) / _share(chart, red)
    assert columns == pytest.approx(31.5 / 9.25, rel=0.1)


def test_curves_and_sizes_are_drawn(pixels: NDArray[np.uint8]) -> None:
    blue, orange = (0x2F, 0x6F, 0xDB), (0xD9, 0x82, 0x2B)
    assert _share(pixels[800:1500], blue) > 0.002
    assert _share(pixels[800:1500], orange) > 0.002


def test_nothing_sticks_out_to_the_right(pixels: NDArray[np.uint8]) -> None:
    assert np.all(pixels[:, -12:] == 255)
