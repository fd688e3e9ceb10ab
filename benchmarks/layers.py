"""The layers that nets are made of, each as a program of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.nets import NETS
from smidgen.program import Conv2d, DType, Linear, Program, Quantize, Step, TensorInfo


@dataclass(frozen=True, slots=True, order=True)
class Layer:
    """A convolution, or a linear layer if `image` is (1, 1) and the batch counts the rows.

    Attributes:
        batch: Samples, or rows.
        inputs: Channels that it reads.
        outputs: Channels that it writes.
        image: Height and width of what it reads.
        kernel: Height and width of its window.
        stride: In both directions.
        padding: On all sides.
        groups: Each group of outputs reads its own inputs.
        is_linear: Whether it is a linear layer.
    """

    batch: int
    inputs: int
    outputs: int
    image: tuple[int, int] = (1, 1)
    kernel: tuple[int, int] = (1, 1)
    stride: int = 1
    padding: int = 0
    groups: int = 1
    is_linear: bool = False

    @property
    def kind(self) -> str:
        """What kernel it needs."""
        if self.is_linear:
            return "linear"
        if self.groups > 1:
            return "depthwise"
        if self.inputs < 4:
            return "stem"
        return "1x1" if self.kernel == (1, 1) else "window"

    @property
    def depth(self) -> int:
        """Products in one output value."""
        return math.prod(self.kernel) * self.inputs // self.groups

    @property
    def rows(self) -> int:
        """Places that it computes all outputs for."""
        height, width = (
            (extent + 2 * self.padding - window) // self.stride + 1
            for extent, window in zip(self.image, self.kernel, strict=True)
        )
        return self.batch * height * width

    @property
    def multiplications(self) -> int:
        """Multiply-accumulates of one run."""
        return self.rows * self.outputs * self.depth

    def __str__(self) -> str:
        if self.is_linear:
            return f"linear {self.batch}x{self.outputs}x{self.inputs}"
        kernel = "x".join(map(str, self.kernel))
        text = f"{kernel} {self.inputs}->{self.outputs} @{self.image[0]}"
        text += f" s{self.stride}" if self.stride > 1 else ""
        text += " depthwise" if self.groups > 1 else ""
        return text + (f" batch {self.batch}" if self.batch > 1 else "")

    def program(self) -> Program:
        """Returns a program from float32 x to uint8 y; the step that writes y is the layer."""
        rng = np.random.default_rng(0)
        shape: tuple[int, ...] = (self.outputs, self.inputs // self.groups)
        shape += () if self.is_linear else self.kernel
        constants: dict[str, NDArray[np.generic]] = {
            "weight": rng.integers(-127, 128, shape).astype(np.int8),
            "scale": np.full(self.outputs, 0.01 / math.sqrt(self.depth), np.float32),
            "bias": rng.integers(-1000, 1000, self.outputs).astype(np.int32),
        }
        step: Step = Linear("q", "y", "weight", "scale", "bias")
        source: tuple[int, ...] = (self.batch, self.inputs)
        target: tuple[int, ...] = (self.batch, self.outputs)
        if not self.is_linear:
            step = Conv2d(
                "q",
                "y",
                "weight",
                "scale",
                "bias",
                stride=(self.stride, self.stride),
                padding=(self.padding, self.padding, self.padding, self.padding),
                groups=self.groups,
            )
            source = (*source, *self.image)
            spatial = (
                (extent + 2 * self.padding - window) // self.stride + 1
                for extent, window in zip(self.image, self.kernel, strict=True)
            )
            target = (*target, *spatial)
        tensors = [
            TensorInfo("x", DType.FLOAT32, source),
            TensorInfo("q", DType.UINT8, source, 0.0625, 128),
            TensorInfo("y", DType.UINT8, target, 0.5, 120),
        ]
        return Program(
            ("x",), ("y",), {t.name: t for t in tensors}, (Quantize("x", "q"), step), constants
        )


def layers_of(name: str, batch: int) -> list[Layer]:
    """Returns the different layers of a net, in the order in which it runs them."""
    return list(dict.fromkeys(every_layer_of(name, batch)))


def every_layer_of(name: str, batch: int) -> list[Layer]:
    """Returns the layers of a net in the order in which it runs them."""
    net = NETS[name]
    found: list[Layer] = []

    def see(module: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> None:
        found.append(_layer(module, inputs[0]))

    model = net.build().eval()
    for module in model.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(see)
    with torch.inference_mode():
        model(*(torch.from_numpy(values) for values in net.samples(batch).values()))
    return found


def _layer(module: nn.Module, x: Tensor) -> Layer:
    if isinstance(module, nn.Linear):
        rows = x.numel() // module.in_features
        return Layer(rows, module.in_features, module.out_features, is_linear=True)
    assert isinstance(module, nn.Conv2d)
    height, width = x.shape[2:]
    return Layer(
        x.shape[0],
        module.in_channels,
        module.out_channels,
        (height, width),
        (module.kernel_size[0], module.kernel_size[1]),
        module.stride[0],
        int(module.padding[0]),
        module.groups,
    )
