"""The page in a real browser, where there is one."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from smidgen.html_report import ReportDocument, render
from tests.python.html_report.test_page import DOCUMENT

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("chrome")
WIDTH, HEIGHT = 1080, 2600
WHITE, RAISED = (0xFF, 0xFF, 0xFF), (0xF5, 0xF6, 0xF8)
GREEN, RED = (0x2B, 0x9A, 0x66), (0xD1, 0x3F, 0x3F)
BLUE, ORANGE = (0x2F, 0x6F, 0xDB), (0xD9, 0x82, 0x2B)
LONG = "backbone.stages." + "block_with_a_long_name." * 12 + "conv"

pytestmark = pytest.mark.skipif(BROWSER is None, reason="no Chromium on this machine")


def _take(folder: Path, document: ReportDocument, *options: str) -> NDArray[np.uint8]:
    """Returns a page as [height, width, 3]."""
    (folder / "page.html").write_text(render(document), encoding="utf-8")
    shot = folder / "page.png"
    assert BROWSER is not None
    subprocess.run(
        [
            BROWSER,
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--force-device-scale-factor=1",
            f"--user-data-dir={folder / 'profile'}",
            f"--window-size={WIDTH},{HEIGHT}",
            f"--screenshot={shot}",
            *options,
            (folder / "page.html").as_uri(),
        ],
        check=True,
        capture_output=True,
        timeout=120,
    )
    with Image.open(shot) as image:
        return np.asarray(image.convert("RGB"))


@pytest.fixture(scope="module")
def pixels(tmp_path_factory: pytest.TempPathFactory) -> NDArray[np.uint8]:
    """The page in its light scheme."""
    return _take(tmp_path_factory.mktemp("page"), DOCUMENT)


def _is(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> NDArray[np.bool_]:
    """Returns where a page has a colour, [height, width]."""
    return np.all(np.abs(pixels.astype(int) - colour) <= 2, axis=-1)


def _share(pixels: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    return float(np.mean(_is(pixels, colour)))


def _runs(rows: NDArray[np.bool_]) -> list[NDArray[np.intp]]:
    """Returns the rows that are set, those in a row together."""
    found = np.flatnonzero(rows)
    return np.split(found, np.flatnonzero(np.diff(found) > 1) + 1)


def test_the_verdict_has_the_colour_of_its_level(pixels: NDArray[np.uint8]) -> None:
    assert any(run.size > 35 for run in _runs(_is(pixels[:200, 16:60], GREEN).sum(axis=1) >= 5))


def test_the_tiles_stand_side_by_side_at_the_top(pixels: NDArray[np.uint8]) -> None:
    top = _is(pixels[:340], RAISED)
    beginnings = [int((np.diff(line.astype(int)) == 1).sum()) for line in top]
    assert sum(count == 4 for count in beginnings) > 10


def test_good_is_green_and_noise_is_red(pixels: NDArray[np.uint8]) -> None:
    """The columns of the chart of noise, which are the only large red ones."""
    red = next(run for run in _runs(_is(pixels, RED).sum(axis=1) > 20) if run.size > 30)
    base = int(red[-1])
    columns = _is(pixels[base - 220 : base + 1], GREEN).sum() / _is(pixels, RED)[red].sum()
    assert columns == pytest.approx(31.5 / 9.25, rel=0.1)


def test_bars_of_sensitivity_have_the_ratio_of_their_noise(pixels: NDArray[np.uint8]) -> None:
    lengths = {int(count) for count in _is(pixels, BLUE).sum(axis=1) if count > 40}
    longest = max(lengths)
    assert any(length == pytest.approx(0.1 * longest, abs=2) for length in lengths)


def test_curves_and_sizes_are_drawn(pixels: NDArray[np.uint8]) -> None:
    assert _share(pixels[800:], BLUE) > 0.002
    assert _share(pixels[800:], ORANGE) > 0.002


def test_nothing_sticks_out_to_the_right(pixels: NDArray[np.uint8]) -> None:
    assert np.all(pixels[:, -12:] == 255)


def test_long_names_wrap(tmp_path: Path) -> None:
    assert DOCUMENT.report is not None
    nodes = tuple(replace(node, module_path=LONG) for node in DOCUMENT.report.nodes)
    document = replace(DOCUMENT, title=LONG, report=replace(DOCUMENT.report, nodes=nodes))
    assert np.all(_take(tmp_path, document)[:, -12:] == 255)


def test_dark_scheme_is_dark(tmp_path: Path) -> None:
    page = _take(tmp_path, DOCUMENT, "--blink-settings=preferredColorScheme=0")
    ground = (0x15, 0x18, 0x1C)
    assert _share(page, ground) > 0.5
    assert _share(page, WHITE) == 0.0
