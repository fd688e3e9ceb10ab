"""Training steps of one net by several ways of training it, for benchmarks.training."""

from __future__ import annotations

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from benchmarks.natural_images import natural_like
from benchmarks.nets import make_net
from smidgen.calibration import calibrate
from smidgen.pipeline import load_model
from smidgen.qat.prepare import prepare_qat

CLASSES = 1000
MOMENTUM = 0.1  # PyTorch's default; the random nets have none, which PT2E cannot export
LEARNING_RATE = 1e-6  # small, so that all contestants stay where they are

Step = Callable[[], None]


def float_model(net: nn.Module, images: torch.Tensor) -> nn.Module:
    """Returns the net itself."""
    return copy.deepcopy(net)


def smidgen_model(net: nn.Module, images: torch.Tensor) -> nn.Module:
    """Returns the graph that TrainQAT trains, calibrated on the images."""
    exported = torch.export.export(copy.deepcopy(net).eval(), (images,))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.pt2"
        torch.export.save(exported, path)
        model = load_model(path)
    profile = calibrate(model, [{model.exported.inputs[0].name: images.numpy()}])
    return prepare_qat(model.graph, profile.ranges)


def torchao_x86_model(net: nn.Module, images: torch.Tensor) -> nn.Module:
    """Returns what torchao's PT2E trains for TorchInductor on x86."""
    from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer as x86  # noqa: PLC0415  (of the benchmark's packages)

    quantizer = x86.X86InductorQuantizer()
    quantizer.set_global(x86.get_default_x86_inductor_quantization_config(is_qat=True))
    return _pt2e_model(net, images, quantizer)


def torchao_xnnpack_model(net: nn.Module, images: torch.Tensor) -> nn.Module:
    """Returns what torchao's PT2E trains for XNNPACK, by the quantizer of torchao's own tests."""
    from torchao.testing.pt2e import _xnnpack_quantizer as xnnpack  # noqa: PLC0415  (of the benchmark's packages)

    config = xnnpack.get_symmetric_quantization_config(is_per_channel=True, is_qat=True)
    return _pt2e_model(net, images, xnnpack.XNNPACKQuantizer().set_global(config))


def _pt2e_model(net: nn.Module, images: torch.Tensor, quantizer: Any) -> nn.Module:
    from torchao.quantization import pt2e  # noqa: PLC0415  (of the benchmark's packages)
    from torchao.quantization.pt2e.quantize_pt2e import prepare_qat_pt2e  # noqa: PLC0415  (of the benchmark's packages)

    exported = torch.export.export(copy.deepcopy(net).train(), (images,)).module()
    prepared: nn.Module = prepare_qat_pt2e(exported, quantizer)
    pt2e.allow_exported_model_train_eval(prepared)
    return prepared


CONTESTANTS: dict[str, Callable[[nn.Module, torch.Tensor], nn.Module]] = {
    "float": float_model,
    "smidgen": smidgen_model,
    "torchao-x86": torchao_x86_model,
    "torchao-xnnpack": torchao_xnnpack_model,
}


def make_trainable_net(name: str) -> nn.Module:
    """Returns a net with random weights whose batch norms follow the batches."""
    net = make_net(name, "random")
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = MOMENTUM
    return net


def training_step(contestant: str, net: nn.Module, batch: int, side: int) -> Step:
    """Returns one step of training: forward, cross-entropy, backward, Adam.

    Args:
        contestant: One of CONTESTANTS.
        net: The float net, which stays as it is.
        batch: Samples a step.
        side: Height and width of the images.
    """
    images = torch.from_numpy(natural_like(batch, (3, side, side), seed=1))
    labels = torch.arange(batch) * 37 % CLASSES
    model = CONTESTANTS[contestant](net, images)
    model.train()  # those of PT2E return nothing
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    def step() -> None:
        optimizer.zero_grad()
        output = model(images)
        logits = output if isinstance(output, torch.Tensor) else output[0]
        functional.cross_entropy(logits, labels).backward()
        optimizer.step()

    return step
