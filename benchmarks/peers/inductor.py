"""TorchInductor on nets that its own quantizer for x86 CPUs quantized.

Variants: `static` and `dynamic`, how the inputs of layers are quantized; weights are quantized by
channel.

The weights are frozen and the net is compiled ahead of time: its calls run no Python (MobileNetV2
4.6 ms, and 5.6 with torch.compile). max_autotune stays off: in PyTorch 2.13 its int8 products of
matrices give outputs that have nothing to do with the net, take longer (MiniLM-L6 12.7 ms, and 9.9
without) and over three times as long to compile.
"""

from __future__ import annotations

import re
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
import torchao
from numpy.typing import NDArray
from torch import Tensor, fx
from torch._inductor import aoti_compile_and_package, aoti_load_package
from torch._inductor.utils import fresh_cache
from torchao.quantization.pt2e import move_exported_model_to_eval
from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
from torchao.quantization.pt2e.quantizer import x86_inductor_quantizer

from benchmarks.nets import make_net
from benchmarks.peers.contestant import NotIntegerError
from benchmarks.subject import Arrays, Subject

INTEGER_LAYER = re.compile("qconv|qlinear")
LAYERS = {"conv2d", "linear"}


class InductorContestant:
    """A compiled net and its inputs."""

    def __init__(self, subject: Subject, variant: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self.version = f"{torch.__version__}, torchao {torchao.__version__}"
        package = _package(subject, variant, threads)
        self.kernels = called_kernels(package)
        self._net = aoti_load_package(package, run_single_threaded=True)
        self._inputs = _tensors(subject.inputs())
        self._output: Tensor | list[Tensor] | tuple[Tensor, ...] = ()

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
    """Quantizes and compiles the net, if it is not there.

    Raises:
        NotIntegerError: not all layers became int8 kernels.
    """
    package = _package(subject, variant, threads)
    if package.exists():
        return
    made = package.with_stem(f"{package.stem}-made")
    # A cache may hold weights that were packed for other instructions, with which a net that
    # is limited takes six times as long: oneDNN's limit is no part of the cache's keys.
    with torch.no_grad(), warnings.catch_warnings(), fresh_cache():
        warnings.simplefilter("ignore")
        net = quantize(subject, variant)
        program = torch.export.export(net, _tensors(subject.inputs()))
        aoti_compile_and_package(
            program,
            package_path=str(made),  # it would not know its own path again
            inductor_configs={"freezing": True, "cpp.threads": threads},
        )
    expect_integer_layers(called_kernels(made), _layers(net))
    made.rename(package)


def quantize(subject: Subject, variant: str) -> fx.GraphModule:
    """Returns the float net, quantized with what it saw of the calibration samples."""
    net = make_net(subject.net, subject.weights)
    quantizer = x86_inductor_quantizer.X86InductorQuantizer()
    quantizer.set_global(
        x86_inductor_quantizer.get_default_x86_inductor_quantization_config(
            is_dynamic=variant == "dynamic"
        )
    )
    exported = torch.export.export(net, _tensors(subject.inputs())).module()
    observed = prepare_pt2e(exported, quantizer)
    for samples in batches(subject.calibration(), subject.batch):
        observed(*samples)
    quantized: fx.GraphModule = convert_pt2e(observed)
    move_exported_model_to_eval(quantized)
    return quantized


def called_kernels(package: Path) -> Counter[str]:
    """Counts the kernels that the generated code of a package calls."""
    found: Counter[str] = Counter()
    with zipfile.ZipFile(package) as files:
        for name in files.namelist():
            if name.endswith(".wrapper.cpp"):
                code = files.read(name).decode()
                found.update(re.findall(r"aoti_torch_cpu_+(\w+)\(", code))
                found.update(re.findall(r"^ +(cpp_fused_\w+)\(", code, re.MULTILINE))
    return found


def expect_integer_layers(kernels: Counter[str], layers: int) -> None:
    """Makes sure that each layer of the net runs in int8.

    A layer that fell back may have any name, such as that of a fused loop, so that those in int8
    are counted.

    Raises:
        NotIntegerError: there are fewer int8 kernels than layers.
    """
    integer = sum(count for name, count in kernels.items() if INTEGER_LAYER.search(name))
    if integer < layers:
        called = ", ".join(f"{count} {name}" for name, count in kernels.items())
        raise NotIntegerError(f"Inductor runs {integer} of {layers} layers in int8: {called}")


def _layers(net: fx.GraphModule) -> int:
    """Returns how many convolutions and linear layers a net has."""
    targets = [str(node.target) for node in net.graph.nodes if node.op == "call_function"]
    return sum(target.split(".")[1] in LAYERS for target in targets if target.startswith("aten."))


def _package(subject: Subject, variant: str, threads: int) -> Path:
    """The number of threads and the batch size are compiled in."""
    return subject.folder / f"inductor-{variant}-{subject.batch}-{threads}.pt2"


def _tensors(arrays: Arrays) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(values) for values in arrays.values())


def batches(samples: Arrays, size: int) -> Iterator[tuple[Tensor, ...]]:
    """Returns all samples in batches; the last one is filled with the first samples."""
    count = len(next(iter(samples.values())))
    for start in range(0, count, size):
        chosen = np.arange(start, start + size) % count
        yield _tensors({name: values[chosen] for name, values in samples.items()})


load = InductorContestant
