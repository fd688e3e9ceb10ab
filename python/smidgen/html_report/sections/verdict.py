"""The verdict and the four figures behind it, first on the page."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.html_report.markup import Markup, tag
from smidgen.html_report.numerals import duration, percent, size
from smidgen.plural import counted
from smidgen.report import EvaluationData, QuantizationReport

BAD_POINTS, FAIR_POINTS = 1.0, 0.3
"""Accuracy lost in percentage points, from which on a model is bad or has a reservation."""
BAD_AGREEMENT, FAIR_AGREEMENT = 0.95, 0.99
"""The same without accuracies: share of samples of which both models say the same class."""
BAD_DB, FAIR_DB = 15.0, 25.0
"""The same without classes: signal to noise of the output."""
_COARSE_POINTS = 0.1
FEW_COMPARED = 32
"""Samples below which no figure of quality is a sure one."""
_LEVELS = ("good", "fair", "bad")
_HEADS = {
    "good": "Fit to serve",
    "fair": "Fit to serve, with a reservation",
    "bad": "Look closer before serving",
    "unknown": "Quality was not measured",
}


@dataclass(frozen=True, slots=True)
class _Finding:
    """A figure.

    Attributes:
        level: good, fair or bad; unknown if it was not measured.
        figure: In large.
        note: Below it.
        words: For the sentence of the verdict; empty where it adds nothing.
    """

    level: str
    figure: str
    note: str
    words: str = ""


def verdict(report: QuantizationReport, *, is_trained: bool) -> Markup:
    """Says whether the model is fit to serve, and shows accuracy, size, speed and noise.

    Args:
        report: Of the conversion.
        is_trained: Whether training changed the weights before they were quantized.
    """
    findings = {
        "Accuracy": _accuracy(report),
        "Size": _size(report),
        "Speed": _speed(report),
        "Output noise": _noise(report, is_trained=is_trained),
    }
    few = _few_compared(report)
    level = _overall(findings, is_sure=not few)
    words = "; ".join(filter(None, [*(found.words for found in findings.values()), few]))
    return tag(
        "section",
        tag(
            "p",
            tag("strong", _HEADS[level]),
            f": {words}." if words else ".",
            class_=f"verdict {level}",
        ),
        tag("div", [_tile(*item) for item in findings.items()], class_="tiles"),
        tag("p", _coverage(report), class_="coverage"),
        _advice(findings["Accuracy"].level, is_trained=is_trained),
    )


def _few_compared(report: QuantizationReport) -> str:
    """Says how few samples the quality was measured on; nothing where they are enough."""
    compared = None if report.parity is None else report.parity.float_model
    if compared is None or compared.sample_count >= FEW_COMPARED:
        return ""
    return f"compared with the float model on {counted(compared.sample_count, 'sample')} only"


def _advice(level: str, *, is_trained: bool) -> Markup | None:
    """Says what to try where accuracy was lost."""
    if level not in ("fair", "bad"):
        return None
    if is_trained:
        text = "train for more epochs or with a larger dataset, or with learned ranges"
    else:
        text = (
            "train with quantization, or calibrate on more samples or with another method, or "
            "convert with post-training options"
        )
    return tag("p", f"What to try: {text}. The layers below cost most.", class_="coverage")


def _overall(findings: dict[str, _Finding], *, is_sure: bool) -> str:
    """The worst of the figures counts; quality must be known and sure, speed may be unknown."""
    quality = [findings["Accuracy"].level, findings["Output noise"].level]
    if all(level == "unknown" for level in quality):
        return "unknown"
    # Noise counts where accuracy, which is what it is measured for, is unknown.
    decisive = [findings["Size"].level, findings["Speed"].level]
    decisive.append(quality[0] if quality[0] != "unknown" else quality[1])
    worst = max((_LEVELS.index(level) for level in decisive if level in _LEVELS), default=0)
    worst = max(worst, 0 if is_sure else _LEVELS.index("fair"))
    return _LEVELS[worst]


def _tile(name: str, found: _Finding) -> Markup:
    return tag(
        "div",
        tag("h2", name),
        tag("p", found.figure, class_="figure"),
        tag("p", found.note),
        class_=f"tile {found.level}",
    )


def _accuracy(report: QuantizationReport) -> _Finding:
    before, after = report.float_accuracy, report.quantized_accuracy
    if before is None or after is None:
        note = "convert with a labelled evaluation dataset to know it"
        return _Finding("unknown", "not measured", note, "accuracy was not measured")
    points = 100 * (after - before)
    same = abs(points) < 0.005
    change = "no change" if same else f"{points:+.2f} points"
    note = f"{change} from {percent(before, 2)} in float"
    parity = None if report.parity is None else report.parity.float_model
    if parity is not None:
        note += f", {counted(parity.sample_count, 'sample')}{_grain(parity.sample_count)}"
    words = "accuracy as in float" if same else f"accuracy {percent(after, 2)} ({change})"
    return _Finding(_level(-points, FAIR_POINTS, BAD_POINTS), percent(after, 2), note, words)


def _grain(sample_count: int) -> str:
    """Says what one sample more or less makes, where that is not little."""
    points = 100 / sample_count
    return f" (one is {points:.2f} points)" if points >= _COARSE_POINTS else ""


def _size(report: QuantizationReport) -> _Finding:
    if not report.artifact_bytes:
        note = "of the float model; nothing is written yet"
        return _Finding("unknown", size(report.float_bytes), note)
    if not report.float_bytes:
        note = "the float model has no parameters"
        return _Finding("unknown", size(report.artifact_bytes), note)
    ratio = report.float_bytes / report.artifact_bytes
    note = f"{size(report.artifact_bytes)} instead of {size(report.float_bytes)}"
    if ratio >= 1:
        return _Finding("good", f"{ratio:.2f}x smaller", note, f"{ratio:.1f}x smaller")
    return _Finding("fair", f"{1 / ratio:.2f}x larger", note, f"{1 / ratio:.1f}x larger")


def _speed(report: QuantizationReport) -> _Finding:
    latency = report.latency
    if latency is None:
        return _Finding("unknown", "not measured", "convert with latency to know it")
    ratio = latency.float_us / latency.quantized_us
    note = (
        f"{duration(latency.quantized_us)} instead of {duration(latency.float_us)} a call, batch "
        f"{latency.batch}, {counted(latency.threads, 'thread')}, {latency.isa}"
    )
    if ratio >= 1:
        return _Finding("good", f"{ratio:.2f}x faster", note, f"{ratio:.1f}x faster")
    return _Finding("fair", f"{1 / ratio:.2f}x slower", note, f"{1 / ratio:.1f}x slower")


def _noise(report: QuantizationReport, *, is_trained: bool) -> _Finding:
    parity = None if report.parity is None else report.parity.float_model
    if parity is None or (parity.output_sqnr_db is None and parity.top1_agreement is None):
        return _Finding("unknown", "not measured", "convert with an evaluation dataset to know it")
    agreement = parity.top1_agreement
    # Training moves outputs away from the float model's: that is no noise of quantization.
    ratio = _last_ratio(report) if is_trained else parity.output_sqnr_db
    figure = "none" if ratio is None else f"{ratio:.1f} dB SQNR"
    if agreement is None:
        level = "good" if ratio is None else _level(-ratio, -FAIR_DB, -BAD_DB)
        return _Finding(level, figure, f"of the output, {counted(parity.sample_count, 'sample')}")
    level = _level(-agreement, -FAIR_AGREEMENT, -BAD_AGREEMENT)
    samples = counted(parity.sample_count, "sample")
    note = f"same class as in float for {percent(agreement, 2)} of {samples}"
    words = "" if report.float_accuracy is not None else f"same class for {percent(agreement, 2)}"
    return _Finding(level, figure, note, words)


def _last_ratio(report: QuantizationReport) -> float | None:
    """Returns the noise of the output against the trained weights before they were quantized."""
    measured = [node.sqnr_db for node in report.nodes if node.sqnr_db is not None]
    return measured[-1] if measured else None


def _level(value: float, fair: float, bad: float) -> str:
    """Returns what a figure that is better when it is less means."""
    if value >= bad:
        return "bad"
    return "fair" if value >= fair else "good"


def _coverage(report: QuantizationReport) -> str:
    quantized = sum(node.is_quantized for node in report.nodes)
    floats = sum(node.reason == "FLOAT" for node in report.nodes)
    others = len(report.nodes) - quantized - floats
    text = f"{quantized} of {quantized + floats} operations run in integers"
    text += f", {floats} on floats" if floats else ""
    text += f"; {others} more are part of these or do nothing." if others else "."
    if report.evaluation is EvaluationData.HELD_OUT:
        text += " Measured on the samples that training held out and chose its best epoch by."
    parity = report.parity
    if parity is None:
        return text
    levels = ", ".join(parity.isas) or "no instruction set"
    if parity.max_difference == 0:
        return f"{text} Engine and reference agree on every byte ({levels})."
    return f"{text} Engine and reference differ by up to {parity.max_difference} ({levels})."
