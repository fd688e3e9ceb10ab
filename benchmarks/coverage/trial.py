"""Takes one architecture from its library's module to the engine."""

from __future__ import annotations

import dataclasses
import logging
import resource
import sys
import tempfile
import time
import traceback
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from benchmarks.coverage.architecture import Architecture, Format
from benchmarks.coverage.architectures import find
from benchmarks.coverage.outcome import Outcome, Stage
from benchmarks.coverage.random_weights import randomize
from smidgen.config import QATConfig, TaskLoss
from smidgen.engine import Engine
from smidgen.errors import SmidgenError
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import LABELS, Dataset
from smidgen.formats.onnx_import import read_onnx
from smidgen.graph.build import build_graph
from smidgen.pipeline import calibrate, convert, load_model, train_qat
from smidgen.verification import sqnr_db

MOST_BYTES = 6 << 30
"""Memory that a trial may take for itself."""

_MOST_FLOAT_ERROR = 1e-4
_EXPORTED, _STATISTICS, _SAMPLES = 3, 8, 4
_LEARNING_RATE = 1e-5


class TrialError(Exception):
    """A stage gave something wrong."""


class Trial:
    """The stages of one architecture; each needs those before it.

    Args:
        architecture: What to take.
        file_format: How it is handed over.
        folder: Where its file may lie.
    """

    def __init__(self, architecture: Architecture, file_format: Format, folder: Path) -> None:
        self._architecture = architecture
        self._format = file_format
        self._folder = folder
        self._generator = torch.Generator().manual_seed(1)
        self._stage = Stage.MAKE
        self._found = Outcome(Stage.MAKE)

    def run(self) -> Outcome:
        """Runs all stages up to the first that fails."""
        start = time.perf_counter()
        try:
            self._run()
        except Exception as error:
            self._note(stage=self._stage, reason=_describe(error))
        else:
            self._note(stage=Stage.DONE)
        return dataclasses.replace(self._found, seconds=time.perf_counter() - start)

    def _run(self) -> None:
        network = self._architecture.make()
        randomize(network, self._batch(_STATISTICS))
        self._stage = Stage.EXPORT
        path = self._export(network)
        self._stage = Stage.IMPORT
        model = self._load(path)
        self._note(parameters=model.exported.parameter_count, nodes=len(model.exported.nodes))
        self._stage = Stage.FLOAT
        self._compare_floats(network, model)
        self._quantize(model)

    def _export(self, network: nn.Module) -> Path:
        example = self._batch(_EXPORTED)
        if self._format is Format.PT2:
            path = self._folder / "model.pt2"
            batch = torch.export.Dim("batch", max=1024)
            shapes = tuple({0: batch} for _ in example)
            torch.export.save(torch.export.export(network, example, dynamic_shapes=shapes), path)
            return path
        path = self._folder / "model.onnx"
        names = [item.name for item in self._architecture.inputs]
        torch.onnx.export(
            network, example, path, dynamo=False, opset_version=17, input_names=names,
            output_names=["output"], dynamic_axes={name: {0: "batch"} for name in names},
        )  # fmt: skip
        return path

    def _load(self, path: Path) -> FloatModel:
        if self._format is Format.PT2:
            return load_model(path)
        exported = read_onnx(path)
        return FloatModel(exported, build_graph(exported))

    def _compare_floats(self, network: nn.Module, model: FloatModel) -> None:
        batch = self._batch(_SAMPLES)
        with torch.inference_mode():
            expected, found = _flat(network(*batch)), _flat(model.graph(*batch))
        if len(expected) != len(found):
            raise TrialError(f"{len(found)} outputs in place of {len(expected)}")
        errors = [_relative_error(*pair) for pair in zip(expected, found, strict=True)]
        self._note(float_error=max(errors))
        if not max(errors) <= _MOST_FLOAT_ERROR:
            raise TrialError(f"a float output differs by {max(errors):.1e} of its magnitude")

    def _quantize(self, model: FloatModel) -> None:
        samples = self._arrays(self._batch(_SAMPLES), model)
        expected = self._float_outputs(model, samples)
        self._stage = Stage.CALIBRATE
        profile = calibrate(
            model, [samples, *(self._arrays(self._batch(_SAMPLES), model) for _ in range(3))]
        )
        self._stage = Stage.TRAIN
        data = Dataset({**samples, LABELS: expected[0]}, _SAMPLES)
        config = QATConfig(
            epochs=1, fine_tune_epochs=0, batch_size=_SAMPLES, learning_rate=_LEARNING_RATE,
            task_loss=TaskLoss.MSE, evaluation_fraction=0.0,
        )  # fmt: skip
        trained = train_qat(model, profile, data, config)
        self._stage = Stage.CONVERT
        program = convert(model, profile, trained).program
        self._stage = Stage.RUN
        outputs = Engine(program, threads=1, tune=False).run(samples)
        noises = [
            sqnr_db(signal, outputs[name])
            for name, signal in zip(program.outputs, expected, strict=True)
        ]
        known = [noise for noise in noises if noise is not None]
        if not known:
            raise TrialError("an output has no signal or no noise")
        self._note(sqnr_db=min(known))

    def _batch(self, count: int) -> tuple[torch.Tensor, ...]:
        return tuple(item.sample(count, self._generator) for item in self._architecture.inputs)

    def _arrays(
        self, batch: tuple[torch.Tensor, ...], model: FloatModel
    ) -> dict[str, NDArray[np.generic]]:
        names = [spec.name for spec in model.exported.inputs]
        return {name: tensor.numpy() for name, tensor in zip(names, batch, strict=True)}

    def _float_outputs(
        self, model: FloatModel, samples: dict[str, NDArray[np.generic]]
    ) -> list[NDArray[np.float32]]:
        tensors = [torch.from_numpy(samples[spec.name]) for spec in model.exported.inputs]
        with torch.inference_mode():
            return [value.numpy() for value in _flat(model.graph(*tensors))]

    def _note(self, **found: object) -> None:
        self._found = dataclasses.replace(self._found, **found)  # type: ignore[arg-type]


def _flat(outputs: object) -> list[torch.Tensor]:
    if isinstance(outputs, torch.Tensor):
        return [outputs]
    if isinstance(outputs, tuple | list):
        return [tensor for item in outputs for tensor in _flat(item)]
    return []


def _relative_error(expected: torch.Tensor, found: torch.Tensor) -> float:
    if expected.shape != found.shape:
        raise TrialError(f"the shape {list(found.shape)} in place of {list(expected.shape)}")
    largest = float(expected.abs().max()) or 1.0
    return float((expected - found).abs().max()) / largest


def _describe(error: Exception) -> str:
    text = str(error) if isinstance(error, SmidgenError | TrialError) else repr(error)
    if not isinstance(error, SmidgenError | TrialError):
        traceback.print_exc(file=sys.stderr)
    return " ".join(text.partition(" Replace them by supported ones")[0].split())


def run_trial(connection: Connection, name: str, file_format: str) -> None:
    """Runs a trial under its limit of memory and sends its outcome; the body of a process."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    torch.set_num_threads(1)
    torch.manual_seed(0)
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        connection.send(Trial(find(name), Format(file_format), Path(folder)).run())
