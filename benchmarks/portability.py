"""Whether other runtimes compute on exported models what the engine does.

`python -m benchmarks.portability` compares every quantized tensor byte by byte and writes the
tables of docs/portability.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self, get_args

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.conversion import convert
from benchmarks.digit_weights import digit_images, train_on_digits
from benchmarks.environment import environment
from benchmarks.exposed_model import GIVEN, expose
from benchmarks.natural_images import natural_like
from benchmarks.nets import NETS, ImageNet, make_net
from benchmarks.openvino_model import OpenvinoModel
from benchmarks.peers.onnxruntime import SILENT, expect_integer_products
from benchmarks.portability_tables import fill, tables
from benchmarks.subject import Weights
from benchmarks.tally import Tally, tally
from smidgen.engine import Engine
from smidgen.formats.onnx_export import export_onnx
from smidgen.program import Program

Arrays = Mapping[str, NDArray[Any]]

COMPUTED = frozenset({"Add", "Conv2d", "ConvTranspose2d", "Linear"})
"""Steps whose results ONNX says to the bit, of the operators that they are exported as."""

EXACT = COMPUTED | {
    "Quantize", "Dequantize", "MaxPool2d", "Concat", "Reshape", "Transpose", "Slice", "Pad",
    "Expand", "Gather", "ConstantTensor",
}  # fmt: skip
"""These, and steps that compute nothing."""

DEFAULT = (
    "resnet18:random:96:1000",
    "resnet18:random:224:100",
    "resnet18:digits:64:1000",
    "mobilenet_v2:random:96:1000",
    "mobilenet_v2:random:224:100",
    "mobilenet_v2:digits:64:1000",
    "efficientnet_lite0:random:96:1000",
    "efficientnet_lite0:pretrained:96:1000",
    "efficientnet_lite0:pretrained:224:100",
    "mobilenet_v3_large:random:96:200",
)
EXACT_PRODUCTS = ("session.x64quantprecision", "1")
"""Without VNNI ONNX Runtime adds pairs of products in 16 bits, which saturate, unless told so."""

DIGITS = "digits"
CALIBRATION_SAMPLES, BATCH = 32, 20
PAGE = Path(__file__).resolve().parent.parent / "docs" / "portability.md"


@dataclass(slots=True)
class Comparison:
    """What was found of one net.

    Attributes:
        alone: By kind of step: every step reads the engine's values wherever a step before it is
            not exact, so that its own differences are what is counted.
        whole: By kind of step, for the net as it is: differences are carried on.
        images: How many there were.
        agreements: By runtime, for how many images the greatest output is the same one.
    """

    alone: dict[str, Tally] = field(default_factory=dict)
    whole: dict[str, Tally] = field(default_factory=dict)
    images: int = 0
    agreements: dict[str, int] = field(default_factory=dict)


def compare(
    program: Program, batches: Iterable[Arrays], *, with_openvino: bool = False
) -> Comparison:
    """Runs a program in the engine and its exported model in other runtimes.

    Args:
        program: A program whose first output is [N, classes].
        batches: The inputs.
        with_openvino: Whether to compare its greatest outputs as well.

    Raises:
        NotIntegerError: a runtime left a layer in floats.
    """
    found = Comparison()
    engine, first = Engine(program), program.outputs[0]
    inexact = [step.output for step in program.steps if type(step).__name__ not in EXACT]
    alone, whole = _Exposed(program, inexact), _Exposed(program, ())
    exported = export_onnx(program).SerializeToString()
    runtimes: dict[str, Any] = {"ONNX Runtime": integer_session(exported)}
    if with_openvino:
        runtimes["OpenVINO"] = OpenvinoModel(exported)
    for batch in batches:
        expected = engine.run_all(batch)
        _add(found.alone, tally(program, alone.run(batch, expected), expected))
        _add(found.whole, tally(program, whole.run(batch, expected), expected))
        best = np.asarray(expected[first]).argmax(axis=1)
        found.images += len(best)
        for name, runtime in runtimes.items():
            output = np.asarray(runtime.run([first], dict(batch))[0])
            same = int(np.count_nonzero(output.argmax(axis=1) == best))
            found.agreements[name] = found.agreements.get(name, 0) + same
    return found


class _Exposed:
    """The exported model with its quantized tensors as outputs, in ONNX Runtime."""

    def __init__(self, program: Program, given: Sequence[str]) -> None:
        model = export_onnx(program)
        self._given = given
        self._names = expose(model, program, given=given)
        self._session = integer_session(model.SerializeToString())

    def run(self, batch: Arrays, expected: Arrays) -> dict[str, NDArray[Any]]:
        """Returns all outputs by name."""
        inputs = {**batch, **{name + GIVEN: expected[name] for name in self._given}}
        values = self._session.run(self._names, inputs)
        return dict(zip(self._names, map(np.asarray, values), strict=True))


def integer_session(model: bytes) -> onnxruntime.InferenceSession:
    """Optimizes a model as ONNX Runtime does by itself, and looks whether its layers are int8."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    options.intra_op_num_threads = 1
    options.add_session_config_entry(*EXACT_PRODUCTS)
    options.log_severity_level = SILENT
    with tempfile.TemporaryDirectory() as folder:
        options.optimized_model_filepath = str(Path(folder) / "optimized.onnx")
        session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        expect_integer_products(onnx.load(options.optimized_model_filepath).graph)
    return session


def _add(total: dict[str, Tally], part: Mapping[str, Tally]) -> None:
    for kind, tallied in part.items():
        total[kind] = total.get(kind, Tally()) + tallied


def images(net: ImageNet, count: int, *, seed: int) -> Iterator[Arrays]:
    """Yields batches of images, half of them noise and half of them as smooth as photographs."""
    for number, start in enumerate(range(0, count, BATCH)):
        size = min(BATCH, count - start)
        noise = net.samples(size // 2, seed=seed + number)[net.input_name]
        smooth = natural_like(size - size // 2, net.image_shape, seed=seed + number)
        yield {net.input_name: np.concatenate([noise, smooth])}


@dataclass(frozen=True, slots=True)
class Case:
    """A net to compare.

    Attributes:
        name: One of NETS.
        weights: random, pretrained, or digits for those of `benchmarks.digit_weights`.
        pixels: Height and width of its images.
        images: How many.
    """

    name: str
    weights: str
    pixels: int
    images: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Reads `resnet18:random:96:1000`."""
        name, weights, pixels, count = [*text.split(":"), "", "", ""][:4]
        is_known = name in NETS and weights in (*get_args(Weights), DIGITS)
        if not is_known or not pixels.isdecimal() or not count.isdecimal():
            raise SystemExit(f"{text} is no net, expected one such as {DEFAULT[0]}")
        return cls(name, weights, int(pixels), int(count))

    @property
    def net(self) -> ImageNet:
        """The net for images of this size."""
        net = NETS[self.name]
        assert isinstance(net, ImageNet), "only nets on images are compared"
        return replace(net, image_shape=(net.image_shape[0], self.pixels, self.pixels))

    def program(self) -> Program:
        """Converts the net.

        Raises:
            WeightsError: its pretrained weights are not there.
        """
        net, made = self.net, self._made()
        batches = [batch[net.input_name] for batch in self.batches(CALIBRATION_SAMPLES, 1_000_000)]
        return convert(made, {net.input_name: np.concatenate(batches)})

    def batches(self, count: int, seed: int = 0) -> Iterator[Arrays]:
        """Yields the inputs."""
        if self.weights != DIGITS:
            yield from images(self.net, count, seed=seed)
            return
        digits = digit_images(count, self.pixels)
        for start in range(0, count, BATCH):
            yield {self.net.input_name: digits[start : start + BATCH]}

    def _made(self) -> nn.Module:
        if self.weights == DIGITS:
            torch.manual_seed(0)
            return train_on_digits(self.net.build(), self.pixels)
        if self.weights == "random":
            return self.net.random()
        return make_net(self.name, "pretrained")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and writes."""
    options = _parse(arguments)
    torch.set_num_threads(1)
    rows = []
    for case in [Case.parse(text) for text in options.nets]:
        batches = case.batches(case.images)
        found = compare(case.program(), batches, with_openvino=not options.without_openvino)
        rows.append((case.name, case.weights, case.pixels, found))
        sys.stderr.write(f"{case}: {found}\n")
    text = tables(rows, COMPUTED, EXACT, environment())
    options.out.write_text(fill(options.out.read_text(), text))
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--nets", nargs="+", default=DEFAULT, help="net:weights:pixels:images")
    parser.add_argument("--without-openvino", action="store_true")
    parser.add_argument("--out", type=Path, default=PAGE)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
