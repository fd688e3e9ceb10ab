"""`python -m benchmarks.accuracy.efficientnet`: EfficientNet-lite0 on photographs, without labels.

The net has the weights that were trained for ImageNet. What is counted is how often a quantized
form has the largest logit where the float net has it, on crops of photographs that neither
calibration nor training has seen. All contestants calibrate on the same crops.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console

from benchmarks.accuracy.agreement import (
    Logits,
    compare,
    markdown,
    read_agreements,
    write_agreements,
)
from benchmarks.accuracy.peers import (
    run_float,
    run_nncf,
    run_nncf_pairs,
    run_onnxruntime_static,
)
from benchmarks.accuracy.photographs import HELD_OUT, TRAINING, draw_crops
from benchmarks.environment import environment
from benchmarks.nets import make_net
from benchmarks.preparation import export_float
from smidgen import pipeline
from smidgen.config import (
    ConversionConfig,
    LossConfig,
    OptimizerConfig,
    OptimizerKind,
    PostTrainingConfig,
    QATConfig,
    StageConfig,
    TaskLoss,
)
from smidgen.conversion import Conversion
from smidgen.engine import Engine
from smidgen.float_model import FloatModel
from smidgen.formats.dataset import Dataset
from smidgen.profile import CalibrationProfile
from smidgen.progress import TrainingProgress

NET = "efficientnet_lite0"
MEAN, SPREAD = 127.0, 128.0  # as the net was trained
INPUT = "input"
HELD_OUT_COUNT, CALIBRATION_COUNT, TRAINING_COUNT = 1000, 256, 544
EVALUATION_COUNT = 64  # of the training crops, to choose the epoch
HELD_OUT_SEED, CALIBRATION_SEED, TRAINING_SEED = 1, 2, 3
CALIBRATION_BATCH, INFER_BATCH = 32, 25

Images = NDArray[np.float32]

# Crops of few photographs have other statistics than ImageNet: batch norm keeps its own, and ranges
# stay as calibration found them.
CONFIG = QATConfig(
    epochs=1,
    fine_tune_epochs=0,
    batch_size=8,
    learning_rate=1e-5,
    task_loss=TaskLoss.NONE,
    quantization_loss_weight=1.0,
    evaluation_fraction=EVALUATION_COUNT / TRAINING_COUNT,
    loss=LossConfig(temperature=2.0),
    stages=StageConfig(freeze_batch_norm_at=0.0, freeze_observers_at=0.0, warm_up_steps=5),
    optimizer=OptimizerConfig(kind=OptimizerKind.ADAMW),
)


def to_input(crops: NDArray[np.uint8]) -> Images:
    """Maps crops [N, H, W, 3] to the net's input [N, 3, H, W], turned by 180 degrees.

    The net's kernels are turned too; see benchmarks.nets.pretrained.turn_kernels.
    """
    scaled = (crops.astype(np.float32) - MEAN) / SPREAD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)[:, :, ::-1, ::-1])


class Contest:
    """The net, the crops, and what is made of them when it is first asked for.

    Args:
        folder: Where models are written.
        checkpoint: Where training keeps its state; None keeps none.
        console: Where training shows how far it is.
    """

    def __init__(self, folder: Path, checkpoint: Path | None, console: Console) -> None:
        self._folder = folder
        self._checkpoint = checkpoint
        self._console = console

    @cached_property
    def images(self) -> Images:
        """The crops to measure on."""
        return to_input(draw_crops(HELD_OUT, HELD_OUT_COUNT, HELD_OUT_SEED))

    @cached_property
    def calibration(self) -> Images:
        """The crops that all contestants calibrate on."""
        return to_input(draw_crops(TRAINING, CALIBRATION_COUNT, CALIBRATION_SEED))

    @cached_property
    def onnx(self) -> Path:
        """The float model."""
        path = self._folder / "float.onnx"
        export_float(make_net(NET, "pretrained"), {INPUT: self.images[:2]}, path)
        return path

    @cached_property
    def wanted(self) -> Logits:
        """What the float model answers."""
        return run_float(self.onnx, self.images)

    @cached_property
    def model(self) -> FloatModel:
        """The float model, imported."""
        path = self._folder / "net.pt2"
        example = (torch.from_numpy(self.images[:2]),)
        batch = torch.export.Dim("batch", min=1, max=4096)
        net = make_net(NET, "pretrained")
        exported = torch.export.export(net, example, dynamic_shapes=({0: batch},))
        torch.export.save(exported, path)
        return pipeline.load_model(path)

    @cached_property
    def profile(self) -> CalibrationProfile:
        """The ranges of its activations, min-max."""
        (spec,) = self.model.exported.inputs
        starts = range(0, CALIBRATION_COUNT, CALIBRATION_BATCH)
        return pipeline.calibrate(
            self.model,
            [{spec.name: self.calibration[start : start + CALIBRATION_BATCH]} for start in starts],
        )

    def nncf(self, *, mixed: bool) -> Logits:
        """NNCF's model in OpenVINO."""
        return run_nncf(self.onnx, self.calibration, self.images, mixed=mixed)

    def nncf_pairs(self) -> Logits:
        """NNCF's model without saturation."""
        return run_nncf_pairs(self.onnx, self.calibration, self.images)

    def onnxruntime(self) -> Logits:
        """ONNX Runtime's model."""
        return run_onnxruntime_static(self.onnx, self.calibration, self.images)

    def ptq(self, config: PostTrainingConfig | None = None) -> Logits:
        """Calibration alone, or with what else is done to the weights."""
        samples = None if config is None else self.calibration
        options = None if config is None else ConversionConfig(config)
        return _run(
            pipeline.convert(self.model, self.profile, config=options, samples=samples),
            self.images,
        )

    def qat(self) -> Logits:
        """Training with quantization simulated; goes on from the checkpoint if there is one."""
        crops = to_input(draw_crops(TRAINING, TRAINING_COUNT, TRAINING_SEED))
        kept = self._checkpoint
        trained = pipeline.train_qat(
            self.model,
            self.profile,
            Dataset({"inputs": crops}, len(crops)),
            CONFIG,
            on_progress=self._show,
            checkpoint=kept,
            resume=kept if kept is not None and kept.exists() else None,
        )
        return _run(pipeline.convert(self.model, self.profile, trained), self.images)

    def _show(self, progress: TrainingProgress) -> None:
        self._console.print(
            f"step {progress.step} of {progress.total_steps}: "
            f"loss {progress.quantization_loss:.5f}, agreement {progress.agreement}",
            soft_wrap=True,
        )


FORMS: Mapping[str, Callable[[Contest], Logits]] = {
    "NNCF, symmetric": lambda contest: contest.nncf(mixed=False),
    "NNCF, mixed": lambda contest: contest.nncf(mixed=True),
    "ONNX Runtime": Contest.onnxruntime,
    "Smidgen PTQ": Contest.ptq,
    "Smidgen QAT": Contest.qat,
    "NNCF, mixed, pair by pair": Contest.nncf_pairs,
    "Smidgen PTQ, biases corrected": lambda contest: contest.ptq(
        PostTrainingConfig(correct_bias=True)
    ),
}


def main() -> None:
    """Measures the forms that the file does not have yet, and prints the table."""
    arguments = _arguments()
    torch.set_num_threads(1)
    console, settings = Console(), _settings()
    rows = [] if arguments.out is None else read_agreements(arguments.out, settings)
    with tempfile.TemporaryDirectory() as folder:
        contest = Contest(Path(folder), arguments.checkpoint, console)
        measured = {row.form for row in rows}
        for form in [form for form in FORMS if form not in measured]:
            rows.append(compare(form, contest.wanted, FORMS[form](contest)))
            console.print(rows[-1], soft_wrap=True)
            if arguments.out is not None:
                write_agreements(arguments.out, environment(), settings, rows)
    console.print(markdown(rows), soft_wrap=True, markup=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What quantization changes in EfficientNet-lite0.")
    parser.add_argument("--out", type=Path, help="where results are kept as JSON, form by form")
    parser.add_argument(
        "--checkpoint", type=Path, help="where training keeps its state, to go on from there"
    )
    return parser.parse_args()


def _settings() -> dict[str, object]:
    return {
        "training_photographs": TRAINING,
        "held_out_photographs": HELD_OUT,
        "held_out_crops": HELD_OUT_COUNT,
        "calibration_crops": CALIBRATION_COUNT,
        "training_crops": TRAINING_COUNT,
        "qat": asdict(CONFIG),
    }


def _run(conversion: Conversion, images: Images) -> Logits:
    engine = Engine(conversion.program)
    (name,), (output,) = conversion.program.inputs, conversion.program.outputs
    starts = range(0, len(images), INFER_BATCH)
    parts = [engine.run({name: images[start : start + INFER_BATCH]})[output] for start in starts]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
