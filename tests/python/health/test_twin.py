"""The float twin computes what its program does, but for rounding and clipping."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen import pipeline
from smidgen.engine import Engine
from smidgen.functional import dequantize
from smidgen.health.twin import NoTwinError, float_twin
from smidgen.program import (
    Attention,
    AveragePool2d,
    Conv2d,
    DType,
    HealthReference,
    Lookup,
    MaxPool2d,
    Program,
    Quantize,
    Resize,
    Step,
    TensorInfo,
    WatchedTensor,
    interpret,
    verify,
)
from smidgen.program.verify import MOST_STEPS
from smidgen.verification import random_samples, real_values, sqnr_db
from tests.python.program.float_layer_programs import float_layer_program
from tests.python.program.float_programs import float_step_program
from tests.python.program.image_programs import image_step_program
from tests.python.program.small_programs import every_step_program

DATA = Path("tests/data")

SCALE = 1 / 64  # a power of two: all of its multiples are exact
LEAST_DB = 30.0


def reference(tensor: str, *bounds: tuple[tuple[float, float], tuple[str, ...]]) -> HealthReference:
    return HealthReference((WatchedTensor(tensor, tensor, -3, 0, (0, 1000, 0), 0.0),), bounds)


def image_program(
    step: Callable[[str, str], Step],
    shape: tuple[int, int, int],
    constants: dict[str, np.ndarray] | None = None,
    *,
    size: tuple[int | None, int | None] = (6, 6),
    scale: float = SCALE,
) -> Program:
    """Returns a program that quantizes an image [N, 2, 6, 6] and does one step with it."""
    program = Program(
        inputs=("image",),
        outputs=("out",),
        tensors={
            "image": TensorInfo("image", DType.FLOAT32, (None, 2, *size)),
            "x": TensorInfo("x", DType.UINT8, (None, 2, *size), SCALE, 128),
            "out": TensorInfo("out", DType.UINT8, (None, *shape), scale, 128),
        },
        steps=(Quantize("image", "x"), step("x", "out")),
        constants=constants or {},
    )
    verify(program)
    return program


def exact_image(*, most: int = 40) -> np.ndarray:
    """Returns an image of multiples of the scale, which quantization does not change."""
    rng = np.random.default_rng(0)
    return (rng.integers(-most, most, (3, 2, 6, 6)) * SCALE).astype(np.float32)


def real(program: Program, image: np.ndarray) -> np.ndarray:
    (name,) = program.outputs
    tensor = program.tensor(name)
    assert tensor.scale is not None
    return dequantize(interpret(program, {"image": image})[name], tensor.scale, tensor.zero_point)


def twin_values(program: Program, image: np.ndarray) -> np.ndarray:
    """Returns the output of the twin, on which interpreter and engine agree."""
    twin = float_twin(program)
    name = twin.names[program.outputs[0]]
    found = interpret(twin.program, {"image": image})[name]
    np.testing.assert_array_equal(Engine(twin.program).run({"image": image})[name], found)
    return found


@pytest.mark.parametrize("padding", [(0, 0, 0, 0), (1, 1, 1, 1), (0, 1, 1, 1)])
@pytest.mark.parametrize("dilation", [(1, 1), (2, 1)])
def test_max_pools_are_the_same(
    padding: tuple[int, int, int, int], dilation: tuple[int, int]
) -> None:
    height = (6 + padding[0] + padding[2] - 2 * dilation[0] - 1) // 2 + 1
    width = (6 + padding[1] + padding[3] - 2 * dilation[1] - 1) // 2 + 1
    program = image_program(
        lambda x, out: MaxPool2d(x, out, (3, 3), (2, 2), padding, dilation), (2, height, width)
    )
    np.testing.assert_array_equal(twin_values(program, exact_image()), real(program, exact_image()))


@pytest.mark.parametrize("counts_padding", [True, False])
def test_average_pools_differ_by_half_a_step(counts_padding: bool) -> None:
    program = image_program(
        lambda x, out: AveragePool2d(
            x, out, (3, 3), (2, 2), (1, 1, 1, 1), count_include_pad=counts_padding
        ),
        (2, 3, 3),
    )
    image = exact_image()
    np.testing.assert_allclose(
        twin_values(program, image), real(program, image), atol=SCALE / 2 + 1e-6
    )


@pytest.mark.parametrize(
    ("mode", "align_corners"),
    [("nearest", False), ("nearest_exact", False), ("bilinear", False), ("bilinear", True)],
)
def test_resized_images_differ_by_a_step_at_most(mode: str, align_corners: bool) -> None:
    ratio = float(np.float32(5 / 8) if align_corners else np.float32(6 / 9))
    program = image_program(
        lambda x, out: Resize(x, out, mode, (9, 9), (ratio, ratio), align_corners), (2, 9, 9)
    )
    image = exact_image()
    np.testing.assert_allclose(twin_values(program, image), real(program, image), atol=SCALE)


def layer(clamp: tuple[int, int] = (0, 255)) -> Program:
    """Returns a convolution that doubles its two channels."""
    constants = {
        "w": np.array([[[[64]], [[0]]], [[[0]], [[64]]]], np.int8),
        "s": np.full(2, 1 / 32, np.float32),
        "b": np.array([32 * 3, 0], np.int32),
    }
    return image_program(
        lambda x, out: Conv2d(x, out, "w", "s", "b", qmin=clamp[0], qmax=clamp[1]),
        (2, 6, 6),
        constants,
    )


def test_what_is_clipped_goes_on_in_the_twin() -> None:
    program, image = layer(), exact_image(most=120)
    doubled = 2 * image + np.array([3 * SCALE, 0], np.float32).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(twin_values(program, image), doubled, rtol=1e-6)
    assert real(program, image).max() == 127 * SCALE < doubled.max()


@pytest.mark.parametrize(
    ("bounds", "low"), [((0.0, math.inf), 0.0), ((0.0, 1.0), 0.0), ((-math.inf, 1.0), -np.inf)]
)
def test_fused_activations_stay(bounds: tuple[float, float], low: float) -> None:
    program = replace(layer(), health=reference("x", (bounds, ("out",))))
    image = exact_image(most=120)
    doubled = 2 * image + np.array([3 * SCALE, 0], np.float32).reshape(1, 2, 1, 1)
    np.testing.assert_allclose(
        twin_values(program, image), np.clip(doubled, low, bounds[1]), rtol=1e-6
    )


def table_of(function: Callable[[np.ndarray], np.ndarray], scale: float) -> Program:
    levels = (np.arange(256) - 128.0) * SCALE
    table = np.clip(np.rint(function(levels) / scale) + 128, 0, 255).astype(np.uint8)
    return image_program(lambda x, out: Lookup(x, out, "t"), (2, 6, 6), {"t": table}, scale=scale)


def test_tables_are_interpolated_and_go_on_where_they_rise() -> None:
    def silu(x: np.ndarray) -> np.ndarray:
        return x / (1 + np.exp(-x))

    image = np.linspace(-4, 4, 72, dtype=np.float32).reshape(1, 2, 6, 6)
    found = twin_values(table_of(silu, 1 / 64), image)
    inside = np.abs(image) <= 127 * SCALE
    np.testing.assert_allclose(found[inside], silu(image)[inside], atol=1 / 64)
    np.testing.assert_allclose(found[image > 2], silu(image)[image > 2], atol=0.1)


def test_tables_that_are_flat_at_their_ends_stay_there() -> None:
    def sigmoid(x: np.ndarray) -> np.ndarray:
        return 1 / (1 + np.exp(-4 * x))

    image = np.linspace(-4, 4, 72, dtype=np.float32).reshape(1, 2, 6, 6)
    found = twin_values(table_of(sigmoid, 1 / 64), image)
    np.testing.assert_allclose(found, sigmoid(np.clip(image, -2, 2)), atol=1 / 64)


@pytest.mark.parametrize(
    "step",
    [
        lambda x, out: MaxPool2d(x, out, (2, 2), (2, 2)),
        lambda x, out: Resize(x, out, "bilinear", (3, 3), (2.0, 2.0)),
    ],
    ids=["pool", "resize"],
)
def test_steps_that_need_extents_have_no_twin_without(step: Callable[[str, str], Step]) -> None:
    program = image_program(step, (2, 3, 3), size=(None, None))
    with pytest.raises(NoTwinError, match="height and width of x are not fixed"):
        float_twin(program)


@pytest.mark.parametrize(
    "make",
    [every_step_program, float_layer_program, float_step_program, image_step_program],
    ids=lambda make: make.__name__,
)
def test_all_steps_have_a_counterpart(make: Callable[[], Program]) -> None:
    program = make()
    inputs = random_samples(program, 2)
    twin = float_twin(program)
    expected = interpret(twin.program, inputs)
    for name, found in Engine(twin.program).run(inputs).items():
        np.testing.assert_array_equal(found, expected[name])


def test_an_encoder_is_computed_in_float(tmp_path: Path) -> None:
    arrays = dict(np.load(DATA / "bert.npz"))
    model = pipeline.load_model(DATA / "bert.pt2")
    inputs = {spec.name: arrays[spec.name] for spec in model.exported.inputs}
    program = pipeline.convert(model, pipeline.calibrate(model, [inputs])).program
    assert any(isinstance(step, Attention) for step in program.steps)
    twin = float_twin(program)
    values = {**inputs, **Engine(twin.program).run(inputs)}
    quantized = real_values(program, inputs)
    for name in program.outputs:
        found = values[twin.names[name]]
        twin_db = sqnr_db(arrays[name], found)
        quantized_db = sqnr_db(arrays[name], quantized[name])
        assert twin_db is not None
        assert quantized_db is not None
        assert twin_db > max(quantized_db, LEAST_DB)


def wide_program(step: Callable[[str, str], Step], extent: int, width: int) -> Program:
    """Returns a program that does one step with an image of one row."""
    return image_program(step, (2, 1, width), size=(1, extent))


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_a_resized_row_does_not_become_a_matrix_beyond_all_memory(mode: str) -> None:
    extent = 1 << 20  # its dense weights would take 4 TiB, or its places 8 MiB
    program = wide_program(
        lambda x, out: Resize(x, out, mode, (1, extent), (1.0, 1.0)), extent, extent
    )
    with pytest.raises(NoTwinError, match="more than the 1048576 bytes that are allowed"):
        float_twin(program, most_bytes=1 << 20)


def test_weights_that_are_too_large_in_float_are_not_made() -> None:
    program = layer()
    float_twin(program, most_bytes=(4 + 2) * 4)  # weights and bias
    with pytest.raises(NoTwinError, match="more than the 23 bytes"):
        float_twin(program, most_bytes=23)


def test_a_pool_of_a_huge_window_is_not_taken_apart() -> None:
    program = wide_program(lambda x, out: MaxPool2d(x, out, (1, MOST_STEPS), (1, 1)), MOST_STEPS, 1)
    with pytest.raises(NoTwinError, match=f"more than {MOST_STEPS} steps"):
        float_twin(program)
