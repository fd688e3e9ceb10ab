"""Limits of peers."""

from __future__ import annotations

import pytest

from benchmarks.levels import ONEDNN_LEVELS, level_limits
from smidgen.engine import available_isas


@pytest.mark.parametrize(
    ("isa", "level"),
    [("avx512vnni", "AVX512_CORE_FP16"), ("avxvnni", "AVX2_VNNI"), ("avx2", "AVX2")],
)
def test_openvino_is_limited_to_our_level(isa: str, level: str) -> None:
    assert level_limits("openvino", isa) == {"ONEDNN_MAX_CPU_ISA": level}


@pytest.mark.parametrize("runtime", ["inductor", "pytorch"])
def test_pytorch_is_limited_in_onednn_in_its_own_kernels_and_in_mkl(runtime: str) -> None:
    assert level_limits(runtime, "avxvnni") == {
        "ONEDNN_MAX_CPU_ISA": "AVX2_VNNI",
        "ATEN_CPU_CAPABILITY": "avx2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
    }


def test_mkl_keeps_avx512_where_the_engine_has_it() -> None:
    assert "MKL_ENABLE_INSTRUCTIONS" not in level_limits("pytorch", "avx512vnni")


@pytest.mark.parametrize("runtime", ["openvino", "inductor", "pytorch"])
def test_amx_limits_nobody(runtime: str) -> None:
    assert level_limits(runtime, "amx") == {}


def test_runtimes_without_a_variable_have_no_limits() -> None:
    assert level_limits("onnxruntime", "avx2") == {}
    assert level_limits("smidgen", "avx2") == {}


def test_every_level_below_the_highest_has_its_limit() -> None:
    assert set(available_isas()) <= {*ONEDNN_LEVELS, "portable", "amx"}
