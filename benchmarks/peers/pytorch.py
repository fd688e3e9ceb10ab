"""PyTorch in float32; a variant is the layout of images."""

from __future__ import annotations

from collections import Counter

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.nets import make_net
from benchmarks.subject import Subject


class PytorchContestant:
    """The float net that the program was made of."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = torch.__version__
        net = make_net(subject.net, subject.weights)
        self._inputs = [torch.from_numpy(values) for values in subject.inputs().values()]
        if variant == "channels-last":
            net = net.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
            self._inputs = [x.contiguous(memory_format=torch.channels_last) for x in self._inputs]
        self._net = net
        self.kernels = Counter(f"{type(module).__name__} float32" for module in net.modules())
        self._output: Tensor | tuple[Tensor, ...] = ()

    def peak(self) -> float | None:
        """Returns nothing; the engine measures."""
        return None

    def run(self) -> None:
        """Runs once."""
        with torch.inference_mode():
            self._output = self._net(*self._inputs)

    def output(self) -> NDArray[np.generic]:
        """Returns the first output of the last run."""
        first = self._output if isinstance(self._output, Tensor) else self._output[0]
        values: NDArray[np.generic] = first.numpy().copy()
        return values


def prepare(subject: Subject, variant: str, threads: int) -> None:
    """Does nothing; the files are there."""


load = PytorchContestant
