"""Draws the pictures of docs/concepts.md from computations of the library and from results.

Run as `python tools/draw_concepts.py` and commit what changes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from smidgen.config import CalibrationConfig, LayerPrecision, ObserverMethod, WeightBits
from smidgen.functional import dequantize, quantize, quantize_weight
from smidgen.histogram import count_values
from smidgen.html_report.charts.axis import Axis
from smidgen.html_report.markup import Markup, join, tag
from smidgen.qparams import QParams, qparams_from_range, symmetric_weight_scales
from smidgen.ranges import choose_range
from smidgen.statistics import ActivationStatistics
from smidgen.weight_grid import weight_grid

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "images"
RESULTS = ROOT / "benchmarks" / "results" / "0026-accuracy-mnist.json"

WIDTH, HEIGHT = 640, 260
LEFT, RIGHT, TOP, BOTTOM = 56.0, 620.0, 34.0, 216.0
INK, FAINT, BLUE, RED, GREEN = "#57606a", "#d0d7de", "#0969da", "#cf222e", "#1a7f37"
COLOURS = (BLUE, RED, GREEN, "#8250df")
FONT = "font: 12px sans-serif"

Floats = NDArray[np.float32]


def picture(title: str, *children: Markup) -> str:
    """Returns a drawing with its title, readable on light and dark pages."""
    drawing = tag(
        "svg",
        tag("title", title),
        tag("rect", width=WIDTH, height=HEIGHT, fill="#ffffff"),
        text(title, LEFT, 20, "start", INK),
        *children,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        style=FONT,
    )
    return f"{drawing}\n"


def text(words: str, x: float, y: float, anchor: str = "middle", colour: str = INK) -> Markup:
    """Writes words."""
    return tag("text", words, x=x, y=y, text_anchor=anchor, fill=colour)


def line(x1: float, y1: float, x2: float, y2: float, colour: str = FAINT) -> Markup:
    """Draws a line."""
    return tag("line", x1=x1, y1=y1, x2=x2, y2=y2, stroke=colour)


def frame(across: Axis, up: Axis, under: str) -> Markup:
    """Draws both axes, with round values, and what lies across."""
    ticks = [
        join(line(LEFT, up.place(tick), RIGHT, up.place(tick)),
             text(f"{tick:g}", LEFT - 8, up.place(tick) + 4, "end"))
        for tick in up.ticks()
    ]  # fmt: skip
    below = [text(f"{tick:g}", across.place(tick), BOTTOM + 16) for tick in across.ticks()]
    base = line(LEFT, BOTTOM, RIGHT, BOTTOM, INK)
    return join(ticks, below, base, text(under, (LEFT + RIGHT) / 2, HEIGHT - 8))


def path(xs: Sequence[float], ys: Sequence[float], colour: str) -> Markup:
    """Draws a curve through points."""
    points = " ".join(f"{x:.1f},{y:.1f}" for x, y in zip(xs, ys, strict=True))
    return tag("polyline", points=points, fill="none", stroke=colour, stroke_width=1.5)


def round_trip(values: Floats, qparams: QParams) -> Floats:
    """Quantizes and dequantizes as the engine does."""
    q = quantize(values, qparams.scale, qparams.zero_point)
    return dequantize(q, qparams.scale, qparams.zero_point)


def signal_to_noise_db(values: Floats, rounded: Floats) -> float:
    """Returns the ratio of the energies of values and of their errors, in dB."""
    energy = np.square(values, dtype=np.float64).sum()
    noise = np.square(values.astype(np.float64) - rounded).sum()
    return float(10 * np.log10(energy / noise))


def draw_rounding() -> str:
    """Draws what rounding and clipping do to single values, in steps of the scale."""
    qparams = qparams_from_range(-1.0, 3.0)
    centre = 8 * qparams.scale
    near = np.linspace(-centre, centre, 700, dtype=np.float32)
    ends = (3.0 - centre, 3.0 + centre)
    at_end = np.linspace(*ends, 700, dtype=np.float32)
    up = Axis(-8.0, 2.0, BOTTOM, TOP)
    middle = (LEFT + RIGHT) / 2
    halves = (Axis(-centre, centre, LEFT, middle - 20), Axis(*ends, middle + 20, RIGHT))
    curves, labels = [], []
    for values, across in zip((near, at_end), halves, strict=True):
        errors = (round_trip(values, qparams) - values) / qparams.scale
        places = [across.place(float(value)) for value in values]
        curves.append(path(places, [up.place(float(error)) for error in errors], BLUE))
        labels += [text(f"{t:.3g}", across.place(t), BOTTOM + 16) for t in across.ticks()[::2]]
    grid = [
        join(line(LEFT, up.place(tick), RIGHT, up.place(tick)),
             text(f"{tick:g}", LEFT - 8, up.place(tick) + 4, "end"))
        for tick in (-8.0, -4.0, 0.0, 2.0)
    ]  # fmt: skip
    under = "left: values around 0; right: values around the upper end of the range, 3"
    return picture(
        f"Error in steps of the scale ({qparams.scale:.4f}), range -1 to 3",
        join(grid, curves, labels, text(under, (LEFT + RIGHT) / 2, HEIGHT - 8)),
    )


def long_tailed() -> Floats:
    """Returns 100,000 values as behind a ReLU, of which few are large."""
    draw = np.random.default_rng(0)
    values = np.abs(draw.normal(size=100_000))
    values[:50] = draw.uniform(8, 24, 50)
    return values.astype(np.float32)


def draw_ranges() -> str:
    """Draws what each method keeps of a distribution with outliers, and the noise that follows."""
    values = long_tailed()
    low, high = float(values.min()), float(values.max())
    found = ActivationStatistics(low, high, count_values(values, low, high), None, None)
    across = Axis(0.0, 24.0, LEFT, RIGHT)
    counts, edges = np.histogram(values, bins=96, range=(0.0, 24.0))
    up = Axis(0.0, float(np.log10(counts.max() + 1)), BOTTOM, TOP + 70)
    bars = [
        tag("rect", x=across.place(edge), y=up.place(height), width=4.5,
            height=BOTTOM - up.place(height), fill=FAINT)
        for edge, height in zip(edges[:-1].tolist(), np.log10(counts + 1).tolist(), strict=True)
        if height
    ]  # fmt: skip
    kept = []
    methods = [one for one in ObserverMethod if one is not ObserverMethod.MOVING_AVERAGE]
    for index, method in enumerate(methods):
        chosen = choose_range(found, CalibrationConfig(method))
        noise_db = signal_to_noise_db(values, round_trip(values, chosen.qparams))
        typical = values[50:]
        rounded = round_trip(typical, chosen.qparams)
        y, end = TOP + 8 + 17 * index, across.place(chosen.high)
        words = (
            f"{method.value} to {chosen.high:.1f}: {noise_db:.1f} dB, "
            f"{signal_to_noise_db(typical, rounded):.1f} dB without outliers"
        )
        colour = COLOURS[index]
        kept.append(line(LEFT, y, end, y, colour))
        kept.append(line(end, y - 5, end, BOTTOM, colour))
        kept.append(text(words, LEFT + 8, y - 4, "start", colour))
    below = [text(f"{tick:g}", across.place(tick), BOTTOM + 16) for tick in across.ticks()]
    under = "value of an activation; heights are logarithms of counts"
    return picture(
        "The range that each method chooses, and the signal to noise ratio that it brings",
        join(bars, kept, below, line(LEFT, BOTTOM, RIGHT, BOTTOM, INK)),
        text(under, (LEFT + RIGHT) / 2, HEIGHT - 8),
    )


def channels_of_many_sizes() -> Floats:
    """Returns 64 channels of 256 weights whose sizes span a factor of 100."""
    draw = np.random.default_rng(0)
    sizes = np.logspace(-2, 0, 64)[:, None]
    return (draw.normal(size=(64, 256)) * sizes).astype(np.float32)


def _per_tensor(weight: Floats) -> Floats:
    scale = symmetric_weight_scales(weight.reshape(1, -1))
    return quantize_weight(weight, np.repeat(scale, len(weight))) * scale[0]


def _per_channel(weight: Floats) -> Floats:
    scales = symmetric_weight_scales(weight)
    return quantize_weight(weight, scales) * scales[:, None]


def _int4(group_size: int) -> Callable[[Floats], Floats]:
    def rounded(weight: Floats) -> Floats:
        precision = LayerPrecision(WeightBits.INT4, group_size)
        grid = weight_grid(weight, None, None, precision)
        values: Floats = grid.quantize(weight) * grid.scale[:, None]
        return values

    return rounded


def draw_weights() -> str:
    """Draws the noise of each channel of a layer by how its weights are rounded."""
    weight = channels_of_many_sizes()
    ways: Mapping[str, Callable[[Floats], Floats]] = {
        "int8, one scale for all": _per_tensor,
        "int8, a scale for each channel": _per_channel,
        "int4, groups of 32": _int4(32),
        "int4, groups of 128": _int4(128),
    }
    across, up = Axis(0.01, 1.0, LEFT, RIGHT, is_log=True), Axis(0.0, 60.0, BOTTOM, TOP)
    sizes = np.logspace(-2, 0, 64).tolist()
    curves = []
    for index, (title, way) in enumerate(ways.items()):
        rounded = way(weight)
        noise = [signal_to_noise_db(one, other) for one, other in zip(weight, rounded, strict=True)]
        colour = COLOURS[index]
        curves.append(path([*map(across.place, sizes)], [*map(up.place, noise)], colour))
        labels_db = (28.0, 49.0, 24.0, 12.0)
        curves.append(text(title, RIGHT, up.place(labels_db[index]), "end", colour))
    return picture(
        "Signal to noise ratio of the weights of each channel, in dB",
        frame(across, up, "size of a channel's weights (standard deviation), the largest is 1"),
        join(curves),
    )


def draw_training() -> str:
    """Draws accuracies with and without training, each seed a dot."""
    document = json.loads(RESULTS.read_text())
    trials = document["trials"]
    forms = ("PTQ int8", "QAT int8", "PTQ W4A8", "QAT W4A8")
    up = Axis(-1.6, 0.4, BOTTOM, TOP)
    width = (RIGHT - LEFT) / len(forms)
    dots: list[Markup] = []
    for index, form in enumerate(forms):
        centre = LEFT + (index + 0.5) * width
        lost = [
            100 * (one["correct"][form] - one["correct"]["float"]) / one["test_count"]
            for one in trials
        ]
        mean = float(np.mean(lost))
        colour = GREEN if form.startswith("QAT") else BLUE
        dots += [
            tag("circle", cx=centre + 14 * (seed - 2), cy=up.place(value), r=4, fill=colour)
            for seed, value in enumerate(lost)
        ]
        dots.append(line(centre - 44, up.place(mean), centre + 44, up.place(mean), colour))
        share = trials[0]["size_shares"][form.split()[1]]
        dots.append(text(f"{form} ({share:.2f})", centre, BOTTOM + 16))
        dots.append(text(f"{mean:+.2f}", centre + 58, up.place(mean) + 4, "middle", colour))
    grid = [
        join(line(LEFT, up.place(tick), RIGHT, up.place(tick)),
             text(f"{tick:g}", LEFT - 8, up.place(tick) + 4, "end"))
        for tick in (-1.5, -1.0, -0.5, 0.0)
    ]  # fmt: skip
    return picture(
        "Accuracy against float, in percentage points: five seeds and their mean",
        join(grid, dots),
        text(
            "MNIST-5k, 1,000 test images; in brackets the share of the float net's bytes",
            (LEFT + RIGHT) / 2,
            HEIGHT - 8,
        ),
    )


def main() -> None:
    """Writes all of them."""
    IMAGES.mkdir(exist_ok=True)
    drawings = {
        "rounding": draw_rounding,
        "ranges": draw_ranges,
        "weights": draw_weights,
        "training": draw_training,
    }
    for name, draw in drawings.items():
        (IMAGES / f"{name}.svg").write_text(draw())


if __name__ == "__main__":
    main()
