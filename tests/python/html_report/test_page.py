"""The page as a whole."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from smidgen.html_report import ActivationView, CurvePoint, ReportDocument, render
from smidgen.report import NodeReport, ParityCertificate, QuantizationReport

CONV = NodeReport(
    "conv_1",
    "conv2d",
    is_quantized=True,
    module_path="features.0",
    output_scale=0.0125,
    float_bytes=4096,
    quantized_bytes=1056,
    sqnr_db=31.5,
)
NOISY = replace(CONV, node="conv_2", module_path="features.1", sqnr_db=9.25)
REPORT = QuantizationReport(
    nodes=(
        CONV,
        NodeReport("bn_1", "batch_norm", is_quantized=False, reason="FOLDED"),
        NOISY,
        NodeReport("softmax_1", "softmax", is_quantized=False, reason="FLOAT"),
    ),
    float_bytes=8192,
    artifact_bytes=2048,
    parity=ParityCertificate(8, 0, ("portable", "avx2")),
    float_accuracy=0.9940,
    quantized_accuracy=0.9925,
)
DOCUMENT = ReportDocument(
    title="models/digits/versions/2",
    report=REPORT,
    facts=(("SHA-256", "ab" * 32),),
    activations=(
        ActivationView("conv_1", 0.0, 3.1875, 0.0125, 0, (0.0, 4.0), (9, 5, 1, 1), 0.0625),
    ),
    calibration="512 samples",
    warnings=("only 8 samples",),
    curve=(
        CurvePoint(10, "qat", 1.5, 0.25),
        CurvePoint(20, "qat", 0.5, 0.125, accuracy=0.98),
        CurvePoint(30, "fine_tune", 0.25, 0.125, accuracy=0.99),
    ),
)


class _Balance(HTMLParser):
    """Follows elements, all of which must be closed."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def _texts(page: str) -> list[str]:
    reader = _Balance()
    reader.feed(page)
    assert reader.open == []
    return reader.texts


def test_the_figures_that_decide_are_there() -> None:
    texts = _texts(render(DOCUMENT))
    for expected in (
        "4.00x",
        "99.25 %",
        "-0.15 points from 99.40 % in float",
        "2 of 3",
        "0 bytes differ",
        "engine and reference, 8 samples, at portable, avx2",
    ):
        assert expected in texts


def test_what_needs_attention_is_named() -> None:
    texts = _texts(render(DOCUMENT))
    assert "only 8 samples" in texts
    assert any(t.startswith("conv_2 (features.1): quantization noise is 9.2 dB") for t in texts)
    assert any(t.startswith("conv_1: 6.2 % of its values") for t in texts)
    assert "1 operation runs on floats: softmax." in texts
    assert not any(t.startswith("conv_1 (features.0): quantization noise") for t in texts)


def test_a_difference_of_engine_and_reference_shows() -> None:
    report = replace(REPORT, parity=ParityCertificate(8, 3, ("avx2",)))
    assert "differs by 3" in _texts(render(replace(DOCUMENT, report=report)))


def test_nothing_to_mention_is_said() -> None:
    report = replace(REPORT, nodes=(CONV,))
    texts = _texts(render(ReportDocument("m", report)))
    assert "Nothing was found." in texts


def test_sections_without_data_are_left_out() -> None:
    plan = QuantizationReport(
        nodes=(replace(CONV, sqnr_db=None, quantized_bytes=0),), float_bytes=9
    )
    texts = _texts(render(ReportDocument("m", plan)))
    for heading in ("Training", "Noise by layer", "Size by layer", "Ranges of activations"):
        assert heading not in texts
    assert "All layers" in texts


def test_stages_are_marked() -> None:
    assert "fine tune" in _texts(render(DOCUMENT))


def test_the_page_asks_the_network_for_nothing_and_runs_nothing() -> None:
    page = render(DOCUMENT)
    assert not re.search(r"(src|href)=|url\(|@import|<script|<link|<iframe", page)
    assert "http" not in page


@pytest.mark.parametrize("name", ["</td><script>alert(1)</script>", '"><img src=x onerror=a>', "&"])
def test_names_are_only_text(name: str) -> None:
    node = replace(CONV, node=name, module_path=name, op=name, sqnr_db=1.0)
    activation = replace(DOCUMENT.activations[0], node=name)
    page = render(
        ReportDocument(
            name,
            replace(REPORT, nodes=(node,)),
            facts=((name, name),),
            activations=(activation,),
            calibration=name,
            warnings=(name,),
            curve=(CurvePoint(1, name, 1.0), CurvePoint(2, name + "x", 2.0)),
        )
    )
    assert "<script" not in page
    assert "<img" not in page
    assert _texts(page).count(name) >= 8


def test_a_thousand_layers_stay_within_two_mebibytes() -> None:
    nodes = tuple(replace(CONV, node=f"conv_{i}") for i in range(1000))
    activations = tuple(
        replace(DOCUMENT.activations[0], node=f"conv_{i}", counts=(5,) * 2048) for i in range(1000)
    )
    curve = tuple(CurvePoint(i, "qat", 1.0 / (i + 1), 0.5) for i in range(100_000))
    report = replace(REPORT, nodes=nodes)
    page = render(replace(DOCUMENT, report=report, activations=activations, curve=curve))
    assert len(page) < 2 * 1024 * 1024


def test_layers_tell_their_bits() -> None:
    narrow = replace(CONV, weight_bits=4)
    texts = _texts(render(ReportDocument("m", replace(REPORT, nodes=(narrow,)))))
    assert "Bits" in texts
    assert "4" in texts
