"""The page as a whole."""

from __future__ import annotations

import re
from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import pytest

from smidgen.html_report import ActivationView, CurvePoint, ReportDocument, render
from smidgen.measured import LatencyReport, LayerLatency, LayerSensitivity, SensitivityReport
from smidgen.report import (
    EvaluationData,
    FloatParity,
    GateReport,
    NodeReport,
    ParityCertificate,
    PrecisionChange,
    PrecisionSearch,
    PrecisionTrial,
    QuantizationReport,
)

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
    parity=ParityCertificate(
        8, 0, ("portable", "avx2"), float_model=FloatParity(2000, 0.9965, 27.25)
    ),
    float_accuracy=0.9940,
    quantized_accuracy=0.9925,
    sensitivity=SensitivityReport(
        (
            LayerSensitivity("conv_2", 20.0, 0.01),
            LayerSensitivity("x", 30.0, 0.001),
            LayerSensitivity("conv_1"),
        ),
        layer_count=5,
        sample_count=16,
        seconds=2.0,
    ),
    latency=LatencyReport(
        200.0,
        500.0,
        12.0,
        (LayerLatency("conv_1", 100.0, 300.0), LayerLatency("conv_2", 80.0, 40.0, ("softmax_1",))),
        batch=1,
        rounds=20,
        threads=1,
        isa="avx2",
        cpu="Some CPU",
    ),
)
LATENCY = REPORT.latency
assert LATENCY is not None
UNKNOWN = "Quality was not measured"
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
        CurvePoint(20, "qat", 0.5, 0.125, held_out_loss=0.75, accuracy=0.98),
        CurvePoint(30, "fine_tune", 0.25, 0.125, accuracy=0.99, agreement=0.97),
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
        "Fit to serve",
        ": accuracy 99.25 % (-0.15 points); 4.0x smaller; 2.5x faster.",
        "99.25 %",
        "-0.15 points from 99.40 % in float, 2000 samples",
        "4.00x smaller",
        "2.50x faster",
        "200.0 µs instead of 500.0 µs a call, batch 1, 1 thread, avx2",
        "27.2 dB SQNR",
        "same class as in float for 99.65 % of 2000 samples",
        "2 of 3 operations run in integers, 1 on floats; 1 more are part of these or do nothing. "
        "Engine and reference agree on every byte (portable, avx2).",
    ):
        assert expected in texts


def test_held_out_samples_are_named() -> None:
    assert DOCUMENT.report is not None
    held_out = replace(DOCUMENT.report, evaluation=EvaluationData.HELD_OUT)
    page = render(replace(DOCUMENT, report=held_out))
    assert "Measured on the samples that training held out and chose its best epoch by." in page


def test_noise_of_a_trained_model_is_not_what_training_changed() -> None:
    texts = _texts(render(replace(DOCUMENT, is_trained=True)))
    assert "9.2 dB SQNR" in texts
    assert "27.2 dB SQNR" not in texts


@pytest.mark.parametrize(
    ("changes", "head"),
    [
        ({"quantized_accuracy": 0.991}, "Fit to serve, with a reservation"),
        ({"quantized_accuracy": 0.984}, "Look closer before serving"),
        ({"artifact_bytes": 9000}, "Fit to serve, with a reservation"),
        ({"latency": replace(LATENCY, quantized_us=600.0)}, "Fit to serve, with a reservation"),
        ({"latency": None}, "Fit to serve"),
        ({"float_accuracy": None}, "Fit to serve"),
        ({"float_accuracy": None, "parity": ParityCertificate(8, 0, ())}, UNKNOWN),
        (
            {
                "float_accuracy": None,
                "parity": ParityCertificate(8, 0, (), float_model=FloatParity(9, None, 12.0)),
            },
            "Look closer before serving",
        ),
        (
            {
                "float_accuracy": None,
                "parity": ParityCertificate(8, 0, (), float_model=FloatParity(9, 0.97, 12.0)),
            },
            "Fit to serve, with a reservation",
        ),
    ],
)
def test_the_verdict_follows_the_figures(changes: dict[str, Any], head: str) -> None:
    report = replace(REPORT, **changes)
    assert head in _texts(render(replace(DOCUMENT, report=report)))


@pytest.mark.parametrize(
    ("count", "head", "words"),
    [
        (
            1,
            "Fit to serve, with a reservation",
            "; compared with the float model on 1 sample only.",
        ),
        (31, "Fit to serve, with a reservation", "model on 31 samples only."),
        (32, "Fit to serve", "2.5x faster; same class for 99.65 %."),
    ],
)
def test_a_comparison_on_few_samples_is_told(count: int, head: str, words: str) -> None:
    parity = ParityCertificate(8, 0, (), float_model=FloatParity(count, 0.9965, 27.25))
    report = replace(REPORT, float_accuracy=None, parity=parity)
    texts = _texts(render(replace(DOCUMENT, report=report)))
    assert head in texts
    assert texts[texts.index(head) + 1].endswith(words)


def test_one_is_singular() -> None:
    assert REPORT.sensitivity is not None
    report = replace(
        REPORT,
        parity=ParityCertificate(8, 0, (), float_model=FloatParity(1, 1.0, 27.25)),
        sensitivity=replace(REPORT.sensitivity, sample_count=1),
        gate=GateReport(1, min_sqnr_db=20.0, sqnr_db=24.46),
        latency=replace(LATENCY, rounds=1, threads=2),
    )
    page = render(replace(DOCUMENT, report=report, warnings=("w",) * 4))
    assert not re.search(r"\b1 (samples|layers|batches|nodes|runs|rows|more warnings)\b", page)
    for expected in (
        "100.00 % of 1 sample<",
        "measured on 1 sample.",
        "Measured on 1 evaluation sample.",
        "1 more warning of",
        "1 run with 2 threads",
    ):
        assert expected in page


def test_what_hurts_most_comes_first() -> None:
    texts = _texts(render(DOCUMENT))
    table = texts[texts.index("What hurts most") :]
    first = table.index("features.1")
    assert first < table.index("input x") < table.index("only 8 samples")
    assert table[first + 1 : first + 4] == ["conv2d", "20.0 dB (10.0 %)", "9.2 dB (34.5 %)"]
    assert any(t.startswith("1 output is below 15 dB, the worst is features.1") for t in texts)
    assert any(t.startswith("features.0: 6.2 % of its values") for t in texts)
    assert "1 operation runs on floats: softmax." in texts
    slow = "1 layer is slower than in float, most of all features.1: 80.0 µs instead of 40.0 µs."
    assert slow in texts


def test_without_sensitivity_the_noisiest_outputs_come_first() -> None:
    report = replace(REPORT, sensitivity=None)
    texts = _texts(render(replace(DOCUMENT, report=report)))
    table = texts[texts.index("What hurts most") :]
    assert "Output noise by it alone" not in texts
    assert table.index("features.1") < table.index("features.0")


def test_sensitivity_is_a_share_of_the_noise() -> None:
    texts = _texts(render(DOCUMENT))
    ranking = texts[texts.index("Sensitivity ranking") :]
    assert "90.9 % (20.0 dB)" in ranking
    assert "9.1 % (30.0 dB)" in ranking
    assert "no noise" in ranking
    assert any("There was no time for 2 of 5 layers" in text for text in ranking)


def test_times_of_both_models_stand_side_by_side() -> None:
    texts = _texts(render(DOCUMENT))
    table = texts[texts.index("The slowest integer steps") :]
    at = table.index("features.0")
    assert table[at + 1 : at + 5] == ["300.0 µs", "100.0 µs", "3.00x", "50 %"]
    at = table.index("features.1")
    assert table[at + 1 : at + 6] == ["softmax softmax_1", "40.0 µs", "80.0 µs", "0.50x", "40 %"]


def test_reasons_of_what_is_not_quantized_are_grouped() -> None:
    texts = _texts(render(DOCUMENT))
    table = texts[texts.index("Not quantized, and why") :]
    assert table.index("FLOAT: runs on floats") < table.index(
        "FOLDED: folded into the layer before it"
    )
    assert "1 softmax" in table


def test_a_difference_of_engine_and_reference_shows() -> None:
    report = replace(REPORT, parity=ParityCertificate(8, 3, ("avx2",)))
    texts = _texts(render(replace(DOCUMENT, report=report)))
    assert any("Engine and reference differ by up to 3 (avx2)." in text for text in texts)


def test_nothing_to_mention_is_said() -> None:
    report = replace(REPORT, nodes=(CONV,), latency=None)
    texts = _texts(render(ReportDocument("m", report)))
    assert "Nothing else stands out." in texts


def test_a_training_alone_has_its_curves() -> None:
    texts = _texts(render(replace(DOCUMENT, title="jobs/t", report=None)))
    assert "How a training went" in texts
    assert "task loss, held-out split" in texts
    assert "same class as float" in texts
    assert "All layers" not in texts


def test_sections_without_data_are_left_out() -> None:
    plan = QuantizationReport(
        nodes=(replace(CONV, sqnr_db=None, quantized_bytes=0),), float_bytes=9
    )
    texts = _texts(render(ReportDocument("m", plan)))
    for heading in (
        "Training",
        "Noise by layer",
        "Sensitivity ranking",
        "Time of a call",
        "Size by layer",
        "Ranges of activations",
    ):
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
    assert sum(name in text for text in _texts(page)) >= 8


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


def test_limits_and_lifted_layers_are_shown() -> None:
    trial = PrecisionTrial("start", (), drop=0.02, sqnr_db=18.0, holds=False)
    report = replace(
        REPORT,
        gate=GateReport(400, max_drop=0.01, drop=0.0025, min_sqnr_db=20.0, sqnr_db=24.46),
        search=PrecisionSearch(
            changes=(PrecisionChange("conv_2", "features.1", "int4", "int8", 21.6, None),),
            trials=(trial, replace(trial, reason="lift", holds=True)),
            is_complete=True,
        ),
    )
    page = render(replace(DOCUMENT, report=report))
    section = page[page.index("<h2>Limits</h2>") :].partition("</section>")[0]
    texts = re.findall(r"<t[dh](?: [^>]*)?>([^<]*)<", section)
    assert texts == [
        *("Limit", "Found", "Allowed"),
        *("Samples lost", "0.25 %", "at most 1.00 %"),
        *("Output noise", "24.5 dB", "at least 20 dB"),
        *("Layer", "From", "To", "Output noise by it alone"),
        *("features.1", "int4", "int8", "21.6 dB"),
    ]
    assert "Measured on 400 evaluation samples." in section
    assert "A search for layers that need more bits measured 2 programs." in section
    assert "<h2>Limits</h2>" not in render(DOCUMENT)
