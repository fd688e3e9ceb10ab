"""Who was fastest, and by how much."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.latency import Latency
from tests.benchmarks.rows import make_row

PEERS = ("onnxruntime", "openvino")


def test_ratio_is_that_of_the_best_variant_of_the_best_peer() -> None:
    row = make_row(smidgen_avx2=2.0, onnxruntime_qdq=5.0, openvino_qdq=4.0, openvino_nncf=3.0)
    assert row.best_peer(PEERS, "median_ms") == "openvino nncf"
    assert row.ratio(PEERS, "median_ms") == pytest.approx(1.5)


def test_median_and_minimum_may_have_different_winners() -> None:
    row = make_row(smidgen_avx2=2.0, openvino_qdq=3.0)
    row.latencies["onnxruntime qdq"] = Latency(4.0, 1.2, 10, (4.0,))
    assert row.best_peer(PEERS, "median_ms") == "openvino qdq"
    assert row.best_peer(PEERS, "minimum_ms") == "onnxruntime qdq"
    assert row.ratio(PEERS, "minimum_ms") == pytest.approx(1.2)


def test_peers_that_are_not_named_do_not_count() -> None:
    row = make_row(smidgen_avx2=2.0, pytorch_contiguous=1.0, openvino_qdq=3.0)
    assert row.best_peer(["openvino"], "median_ms") == "openvino qdq"


def test_ratio_turn_by_turn_is_that_of_the_best_peer() -> None:
    row = make_row(smidgen_avx2=2.0, onnxruntime_qdq=5.0, openvino_qdq=3.0, pytorch_contiguous=1.0)
    assert row.ratio_turn_by_turn(PEERS) == pytest.approx(1.5)
    assert row.ratio_turn_by_turn(["onnxruntime"]) == pytest.approx(2.5)


def test_rounds_count_as_undisturbed_by_the_peaks_before_and_after_them() -> None:
    row = replace(make_row(smidgen_avx2=2.0, openvino_qdq=3.0), peaks=(81.0, 100.0, 79.0, 85.0))
    assert row.peak == 100.0
    assert row.undisturbed == (True, False, False)


def test_the_ratio_of_some_rounds_is_the_median_of_theirs() -> None:
    row = make_row()
    row.latencies["smidgen avx2"] = Latency(1.0, 1.0, 4, (1.0, 1.0, 1.0, 1.0))
    row.latencies["openvino qdq"] = Latency(2.0, 2.0, 4, (2.0, 1.0, 5.0, 4.0))
    assert row.ratio_turn_by_turn(PEERS) == pytest.approx(3.0)
    assert row.ratio_turn_by_turn(PEERS, (True, True, False, True)) == pytest.approx(2.0)
    assert row.ratio_turn_by_turn(PEERS, (False,) * 4) is None
    assert row.ratio_turn_by_turn(PEERS, ()) is None


def test_the_engine_is_no_peer_of_itself() -> None:
    assert make_row(smidgen_avx2=2.0).best_peer(PEERS, "median_ms") is None
    assert make_row(smidgen_avx2=2.0).ratio(PEERS, "median_ms") is None
    assert make_row(smidgen_avx2=2.0).ratio_turn_by_turn(PEERS) is None


def test_the_engine_at_another_level_is_not_ours() -> None:
    row = make_row(smidgen_avxvnni=2.0, openvino_qdq=3.0)
    assert row.ours is None
    assert row.ratio(PEERS, "median_ms") is None
    assert row.ratio_turn_by_turn(PEERS) is None
