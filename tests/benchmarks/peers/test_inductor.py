"""What TorchInductor must run in integers; skipped where torchao is not installed."""

from __future__ import annotations

import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from benchmarks.peers import NotIntegerError

pytest.importorskip("torchao", reason="needs torchao, which `make .venv/.bench` installs")
pytestmark = pytest.mark.filterwarnings("ignore")  # those of packages that we do not choose

WRAPPER = """
    cpp_fused_quantize_per_tensor_0((const float*)(arg0.data_ptr()));
    CHECK(aoti_torch_cpu__qconv_pointwise_tensor(buf0, x_scale));
    CHECK(aoti_torch_cpu__qconv2d_pointwise_binary_tensor(buf1, x_scale));
    CHECK(aoti_torch_cpu_convolution(buf2, weight));
"""


def test_kernels_are_those_that_the_generated_code_calls(tmp_path: Path) -> None:
    from benchmarks.peers.inductor import called_kernels  # noqa: PLC0415  # may not be there

    path = tmp_path / "net.pt2"
    with zipfile.ZipFile(path, "w") as package:
        package.writestr("net/model/one.wrapper.cpp", WRAPPER)
        package.writestr("net/model/one.kernel.cpp", "aoti_torch_cpu__qlinear_pointwise_tensor(")
    assert called_kernels(path) == {
        "cpp_fused_quantize_per_tensor_0": 1,
        "qconv_pointwise_tensor": 1,
        "qconv2d_pointwise_binary_tensor": 1,
        "convolution": 1,
    }


def test_a_layer_without_an_integer_kernel_is_refused() -> None:
    from benchmarks.peers.inductor import expect_integer_layers  # noqa: PLC0415

    kernels = Counter({"qconv_pointwise_tensor": 2, "qlinear_pointwise_tensor": 1})
    expect_integer_layers(kernels, 3)
    with pytest.raises(NotIntegerError, match="3 of 4 layers in int8: 2 qconv_pointwise_tensor"):
        expect_integer_layers(kernels, 4)


@pytest.mark.parametrize("size", [1, 3, 8, 16])
def test_every_sample_is_seen_in_batches_of_the_size_that_is_compiled(size: int) -> None:
    from benchmarks.peers.inductor import batches  # noqa: PLC0415

    found = [values for (values,) in batches({"x": np.arange(8)}, size)]
    assert {len(values) for values in found} == {size}
    assert {int(value) for values in found for value in values} == set(range(8))
