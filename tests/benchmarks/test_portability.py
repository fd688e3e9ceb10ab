"""Exported models give ONNX Runtime the engine's bytes; the counting itself counts right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.conversion import convert
from benchmarks.digit_weights import NOISE, SHIFT, digit_images, train_on_digits
from benchmarks.exposed_model import GIVEN, expose
from benchmarks.natural_images import natural_like
from benchmarks.nets import ImageNet
from benchmarks.openvino_model import OpenvinoModel
from benchmarks.portability import (
    COMPUTED,
    DEFAULT,
    EXACT,
    Case,
    Comparison,
    compare,
    images,
    integer_session,
    main,
)
from benchmarks.portability_tables import BEGIN, END, fill, tables
from benchmarks.tally import Tally, tally
from examples.digits.data import load_split
from smidgen.engine import Engine
from smidgen.formats.onnx_export import export_onnx
from smidgen.program import STEP_TYPES, DType, Program
from tests.python.graph.networks import NETWORKS, randomize

MOST_DIFFERENT = 1e-4  # share of the bytes of an average, given the same inputs


def small_net(name: str) -> tuple[ImageNet, Program]:
    build, shape = NETWORKS[name]
    net = ImageNet(build, (shape[0], shape[1], shape[2]), "x" if name == "resnet" else "image")
    torch.manual_seed(0)
    made = randomize(net.build()).eval()
    return net, convert(made, net.samples(16))


@pytest.mark.parametrize("name", ["mobilenet", "resnet"])
def test_a_net_gives_the_bytes_of_the_engine(name: str) -> None:
    net, program = small_net(name)
    found = compare(program, images(net, 40, seed=1))
    assert found.images == 40
    assert found.alone.keys() == found.whole.keys()
    assert {"Add", "Conv2d", "Linear"} <= found.alone.keys()
    for kind, tallied in found.alone.items():
        assert tallied.count > 0, kind
        if kind in EXACT:
            assert tallied.different == 0, (kind, tallied)
        else:
            assert tallied.greatest <= 1, (kind, tallied)
            assert tallied.different <= MOST_DIFFERENT * tallied.count + 1, (kind, tallied)
    assert found.agreements["ONNX Runtime"] == 40


def test_a_difference_is_found_and_not_carried_on() -> None:
    """A step whose values are given hides what is before it from what is behind it."""
    net, program = small_net("mobilenet")
    (batch,) = images(net, 4, seed=2)
    expected = Engine(program).run_all(batch)
    convolutions = [step.output for step in program.steps if type(step).__name__ == "Conv2d"]
    changed = dict(expected)
    changed[convolutions[0]] = 255 - expected[convolutions[0]]
    model = export_onnx(program)
    names = expose(model, program, given=convolutions[:1])
    session = integer_session(model.SerializeToString())

    def count(given: np.ndarray) -> dict[str, Tally]:
        values = session.run(names, {**batch, convolutions[0] + GIVEN: given})
        return tally(program, dict(zip(names, values, strict=True)), expected)

    assert count(expected[convolutions[0]])["Conv2d"].different == 0
    assert count(changed[convolutions[0]])["Conv2d"].different > 100


def test_openvino_runs_the_exported_model() -> None:
    pytest.importorskip("openvino")
    net, program = small_net("mobilenet")
    (batch,) = images(net, 8, seed=3)
    (found,) = OpenvinoModel(export_onnx(program).SerializeToString()).run(program.outputs, batch)
    expected = Engine(program).run(batch)[program.outputs[0]]
    spread = float(expected.max() - expected.min())
    np.testing.assert_allclose(found, expected, atol=0.05 * spread)


def test_every_exact_kind_is_a_kind_of_step() -> None:
    assert {step.__name__ for step in STEP_TYPES} > EXACT > COMPUTED


def test_tally_counts_bytes_by_kind() -> None:
    _, program = small_net("mobilenet")
    shapes = {
        step.output: [extent or 2 for extent in program.tensor(step.output).shape]
        for step in program.steps
        if program.tensor(step.output).dtype is DType.UINT8
    }
    ours = {name: np.full(shape, 7, np.uint8) for name, shape in shapes.items()}
    theirs = {name: values.copy() for name, values in ours.items()}
    added = next(step.output for step in program.steps if type(step).__name__ == "Add")
    theirs[added].flat[:3] = [6, 8, 17]
    found = tally(program, theirs, ours)
    count = ours[added].size
    assert found["Add"] == Tally(1, count, 3, 10)
    assert found["Conv2d"].different == 0
    assert found["Conv2d"].steps == 7
    assert found["Add"] + found["Add"] == Tally(1, 2 * count, 6, 10)
    with pytest.raises(ValueError, match="is no uint8"):
        tally(program, {**theirs, added: theirs[added].astype(np.int8)}, ours)


def test_smooth_images_have_the_spectrum_of_photographs() -> None:
    found = natural_like(16, (3, 64, 64), seed=0)
    assert (found.shape, found.dtype) == ((16, 3, 64, 64), np.dtype(np.float32))
    np.testing.assert_allclose(found.mean((1, 2, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(found.std((1, 2, 3)), 1, atol=1e-5)
    power = np.abs(np.fft.rfft2(found)).mean((0, 1)) ** 2
    assert power[0, 4] / power[0, 16] == pytest.approx(16, rel=0.6)  # amplitude 1 / frequency
    red, green = found[:, 0].ravel(), found[:, 1].ravel()
    assert np.corrcoef(red, green)[0, 1] == pytest.approx(0.9, abs=0.1)
    assert not np.array_equal(found, natural_like(16, (3, 64, 64), seed=1))


def test_the_tables_say_what_was_found() -> None:
    comparison = Comparison(
        {
            "Conv2d": Tally(2, 1000, 0, 0),
            "Reshape": Tally(1, 5, 0, 0),
            "Multiply": Tally(1, 9, 2, 1),
        },
        {
            "Conv2d": Tally(2, 1000, 4, 3),
            "Reshape": Tally(1, 5, 0, 0),
            "Multiply": Tally(1, 9, 2, 1),
        },
        200,
        {"ONNX Runtime": 199},
    )
    text = tables(
        [("net", "random", 96, comparison)], COMPUTED, EXACT, {"cpu": "a CPU", "commit": "abc"}
    )
    assert "Measured on a CPU at commit abc." in text
    assert "| net | random | 96 | 200 | 0 of 1,000 | 0 of 5 | 2 of 9, by at most 1 |" in text
    assert "| net | random | 96 | 200 | 6 of 1,014, by at most 3 | 199 (99.50%) |" in text


def test_only_what_was_measured_is_replaced() -> None:
    page = f"before\n{BEGIN}old\n{END}after\n"
    assert fill(page, "new\n") == f"before\n{BEGIN}new\n{END}after\n"
    with pytest.raises(ValueError, match="has no <!-- measured -->"):
        fill("nothing", "new\n")


def test_the_page_is_written(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(f"# Title\n{BEGIN}{END}")
    options = ["--nets", "digits:random:8:24", "--without-openvino"]
    assert main([*options, "--out", str(page)]) == 0
    assert "| digits | random | 8 | 24 | 0 of " in page.read_text()
    assert "OpenVINO" not in page.read_text()


def test_an_unknown_net_is_refused(tmp_path: Path) -> None:
    page = str(tmp_path / "page.md")
    for text in ("resnet99:random:8:8", "resnet18:guessed:8:8", "resnet18:random:8", "resnet18"):
        with pytest.raises(SystemExit, match=f"{text} is no net, expected one such as resnet18:"):
            main(["--nets", text, "--out", page])


def test_the_default_nets_are_known() -> None:
    cases = [Case.parse(text) for text in DEFAULT]
    assert {case.name for case in cases} >= {"resnet18", "mobilenet_v2", "efficientnet_lite0"}


def test_digits_are_enlarged_and_copies_of_them_moved() -> None:
    found = digit_images(600, 32)
    assert (found.shape, found.dtype) == ((600, 3, 32, 32), np.dtype(np.float32))
    count = len(load_split().test_images)
    assert count == 500
    moved = np.roll(found[:100], SHIFT, axis=3)
    assert np.abs(found[count:] - moved).mean() < 3 * NOISE
    assert np.abs(found[count:] - found[:100]).mean() > 3 * NOISE


def test_a_net_learns_digits() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 16, 3, 2), nn.ReLU(), nn.Flatten(), nn.Linear(16 * 7 * 7, 10))
    trained = train_on_digits(net, 16)
    with torch.no_grad():
        found = trained(torch.from_numpy(digit_images(500, 16))).argmax(1).numpy()
    assert not trained.training
    assert (found == load_split().test_labels).mean() > 0.85
