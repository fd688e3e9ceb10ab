"""`python -m benchmarks.accuracy.efficientnet`: EfficientNet-lite0 on photographs, without labels.

The net has the weights that were trained for ImageNet. What is counted is how often a quantized
form has the largest logit where the float net has it, on crops of photographs that neither
calibration nor training has seen. All contestants calibrate on the same crops.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from rich.console import Console
from torch import nn

from benchmarks.accuracy.agreement import Agreement, Logits, compare, markdown, write_agreements
from benchmarks.accuracy.peers import run_float, run_nncf, run_onnxruntime_static
from benchmarks.accuracy.photographs import HELD_OUT, TRAINING, draw_crops
from benchmarks.environment import environment
from benchmarks.nets import make_net
from benchmarks.preparation import export_float
from smidgen import pipeline
from smidgen.config import (
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
HELD_OUT_COUNT, CALIBRATION_COUNT, TRAINING_COUNT = 1000, 256, 928
EVALUATION_COUNT = 128  # of the training crops, to choose the epoch
HELD_OUT_SEED, CALIBRATION_SEED, TRAINING_SEED = 1, 2, 3
CALIBRATION_BATCH, INFER_BATCH = 32, 25

Images = NDArray[np.float32]

# Crops of few photographs have other statistics than ImageNet: batch norm keeps its own.
CONFIG = QATConfig(
    epochs=2,
    fine_tune_epochs=0,
    batch_size=8,
    learning_rate=5e-5,
    task_loss=TaskLoss.NONE,
    quantization_loss_weight=1.0,
    evaluation_fraction=EVALUATION_COUNT / TRAINING_COUNT,
    loss=LossConfig(temperature=2.0),
    stages=StageConfig(freeze_batch_norm_at=0.0, freeze_observers_at=0.5, warm_up_steps=10),
    optimizer=OptimizerConfig(kind=OptimizerKind.ADAMW),
)


def to_input(crops: NDArray[np.uint8]) -> Images:
    """Maps crops [N, H, W, 3] to the net's input [N, 3, H, W], turned by 180 degrees.

    The net's kernels are turned too; see benchmarks.nets.pretrained.turn_kernels.
    """
    scaled = (crops.astype(np.float32) - MEAN) / SPREAD
    return np.ascontiguousarray(scaled.transpose(0, 3, 1, 2)[:, :, ::-1, ::-1])


def main() -> None:
    """Measures all forms, prints the table and writes the file."""
    arguments = _arguments()
    torch.set_num_threads(1)
    console = Console()
    rows: list[Agreement] = []
    images = to_input(draw_crops(HELD_OUT, HELD_OUT_COUNT, HELD_OUT_SEED))
    calibration = to_input(draw_crops(TRAINING, CALIBRATION_COUNT, CALIBRATION_SEED))

    def add(form: str, found: Logits) -> None:
        rows.append(compare(form, wanted, found))
        console.print(rows[-1], soft_wrap=True)
        if arguments.out is not None:
            write_agreements(arguments.out, environment(), _settings(), rows)

    with tempfile.TemporaryDirectory() as folder:
        net = make_net(NET, "pretrained")
        onnx_path = Path(folder) / "float.onnx"
        export_float(net, {INPUT: images[:2]}, onnx_path)
        wanted = run_float(onnx_path, images)
        add("NNCF, symmetric", run_nncf(onnx_path, calibration, images, mixed=False))
        add("NNCF, mixed", run_nncf(onnx_path, calibration, images, mixed=True))
        add("ONNX Runtime", run_onnxruntime_static(onnx_path, calibration, images))
        model = _imported(net, images[:2], Path(folder) / "net.pt2")
        profile = _calibrate(model, calibration)
        add("Smidgen PTQ", _run(pipeline.convert(model, profile), images))
        corrected = pipeline.convert(
            model, profile, post_training=PostTrainingConfig(correct_bias=True), samples=calibration
        )
        add("Smidgen PTQ, biases corrected", _run(corrected, images))
        trained = _train(model, profile, arguments.checkpoint, console)
        add("Smidgen QAT", _run(pipeline.convert(model, profile, trained), images))
    console.print(markdown(rows), soft_wrap=True, markup=False)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="What quantization changes in EfficientNet-lite0.")
    parser.add_argument("--out", type=Path, help="where to write the results as JSON")
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


def _imported(net: nn.Module, images: Images, path: Path) -> FloatModel:
    batch = torch.export.Dim("batch", min=1, max=4096)
    exported = torch.export.export(net, (torch.from_numpy(images),), dynamic_shapes=({0: batch},))
    torch.export.save(exported, path)
    return pipeline.load_model(path)


def _calibrate(model: FloatModel, images: Images) -> CalibrationProfile:
    (spec,) = model.exported.inputs
    starts = range(0, len(images), CALIBRATION_BATCH)
    return pipeline.calibrate(
        model, [{spec.name: images[start : start + CALIBRATION_BATCH]} for start in starts]
    )


def _train(
    model: FloatModel, profile: CalibrationProfile, checkpoint: Path | None, console: Console
) -> pipeline.TrainedModel:
    crops = to_input(draw_crops(TRAINING, TRAINING_COUNT, TRAINING_SEED))

    def show(progress: TrainingProgress) -> None:
        console.print(
            f"step {progress.step} of {progress.total_steps}: "
            f"loss {progress.quantization_loss:.5f}, agreement {progress.agreement}",
            soft_wrap=True,
        )

    return pipeline.train_qat(
        model,
        profile,
        Dataset({"inputs": crops}, len(crops)),
        CONFIG,
        on_progress=show,
        checkpoint=checkpoint,
        resume=checkpoint if checkpoint is not None and checkpoint.exists() else None,
    )


def _run(conversion: Conversion, images: Images) -> Logits:
    engine = Engine(conversion.program)
    (name,), (output,) = conversion.program.inputs, conversion.program.outputs
    starts = range(0, len(images), INFER_BATCH)
    parts = [engine.run({name: images[start : start + INFER_BATCH]})[output] for start in starts]
    return np.concatenate(parts)


if __name__ == "__main__":
    main()
