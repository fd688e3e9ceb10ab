"""Architectures of pytorchcv 0.0.74."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
from torch import nn

from benchmarks.coverage.architecture import Architecture, Input

_SMALL: Mapping[str, Any] = {"in_size": (64, 64)}
_MIDDLE: Mapping[str, Any] = {"in_size": (96, 96)}
_LARGE: Mapping[str, Any] = {"in_size": (224, 224)}  # the only size that these nets accept

_CLASSIFIERS: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("alexnet", "alexnet", _MIDDLE),
    ("zfnet", "zfnet", _MIDDLE),
    ("vgg", "vgg11", _SMALL),
    ("vgg", "bn_vgg11", _SMALL),
    ("resnet", "resnet18", _SMALL),
    ("resnet", "resnet50", _SMALL),
    ("resneta", "resneta18", _SMALL),
    ("preresnet", "preresnet18", _SMALL),
    ("resnext", "resnext26_32x4d", _SMALL),
    ("seresnet", "seresnet18", _SMALL),
    ("sepreresnet", "sepreresnet18", _SMALL),
    ("resnesta", "resnesta18", _SMALL),
    ("bamresnet", "bam_resnet18", _SMALL),
    ("cbamresnet", "cbam_resnet18", _SMALL),
    ("scnet", "scnet50", {"in_size": (128, 128)}),
    ("diaresnet", "diaresnet10", _SMALL),
    ("octresnet", "octresnet10_ad2", _SMALL),
    ("diracnetv2", "diracnet18v2", _SMALL),
    ("densenet", "densenet121", _SMALL),
    ("peleenet", "peleenet", _SMALL),
    ("condensenet", "condensenet74_c4_g4", _SMALL),
    ("dla", "dla34", _SMALL),
    ("hrnet", "hrnet_w18_small_v1", _SMALL),
    ("vovnet", "vovnet27s", _SMALL),
    ("hardnet", "hardnet39ds", _SMALL),
    ("darknet", "darknet_ref", _SMALL),
    ("regnet", "regnetx002", _SMALL),
    ("regnet", "regnety002", _SMALL),
    ("squeezenet", "squeezenet_v1_1", _SMALL),
    ("squeezenet", "squeezeresnet_v1_1", _SMALL),
    ("squeezenext", "sqnxt23_w1", _SMALL),
    ("mobilenet", "mobilenet_w1", _SMALL),
    ("mobilenetv2", "mobilenetv2_w1", _SMALL),
    ("mobilenetv3", "mobilenetv3_small_w1", _SMALL),
    ("mobilenetv3", "mobilenetv3_large_w1", _SMALL),
    ("igcv3", "igcv3_w1", _SMALL),
    ("mnasnet", "mnasnet_b1", _SMALL),
    ("proxylessnas", "proxylessnas_mobile", _SMALL),
    ("fbnet", "fbnet_cb", _SMALL),
    ("spnasnet", "spnasnet", _SMALL),
    ("mixnet", "mixnet_s", _SMALL),
    ("ghostnet", "ghostnet", _SMALL),
    ("shufflenet", "shufflenet_g3_w1", _SMALL),
    ("shufflenetv2", "shufflenetv2_w1", _SMALL),
    ("shufflenetv2b", "shufflenetv2b_w1", _SMALL),
    ("menet", "menet108_8x1_g3", _SMALL),
    ("espnetv2", "espnetv2_wd2", _SMALL),
    ("efficientnet", "efficientnet_b0", _LARGE),
    ("efficientnetedge", "efficientnet_edge_small_b", _LARGE),
    ("bninception", "bninception", _SMALL),
    ("inceptionv3", "inceptionv3", {"in_size": (107, 107)}),
    ("xception", "xception", _MIDDLE),
)
_DENSE: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
    ("fastscnn", "fastscnn_cityscapes", {"in_size": (96, 96), "aux": False}),
    ("bisenet", "bisenet_resnet18_celebamaskhq", {"in_size": (96, 96), "aux": False}),
    ("lednet", "lednet_cityscapes", {"in_size": (64, 64)}),
    ("dabnet", "dabnet_cityscapes", {"in_size": (64, 64)}),
    ("erfnet", "erfnet_cityscapes", {"in_size": (64, 64)}),
    ("linknet", "linknet_cityscapes", {"in_size": (64, 64)}),
    ("unet", "unet_cityscapes", {"in_size": (64, 64)}),
    ("segnet", "segnet_cityscapes", {"in_size": (64, 64)}),
    ("simplepose_coco", "simplepose_resnet18_coco", {"in_size": (64, 64), "return_heatmap": True}),
    ("lwopenpose_cmupan", "lwopenpose2d_mobilenet_cmupan_coco", {"in_size": (64, 64)}),
    ("centernet", "centernet_resnet18_voc", {"in_size": (64, 64), "return_heatmap": True}),
)
_THROUGH_ONNX = frozenset({
    "alexnet", "bn_vgg11", "resnet18", "preresnet18", "resnext26_32x4d", "seresnet18",
    "densenet121", "dla34", "vovnet27s", "regnety002", "squeezenet_v1_1",
    "mobilenet_w1", "mobilenetv2_w1", "mobilenetv3_small_w1", "ghostnet", "shufflenet_g3_w1",
    "shufflenetv2_w1", "efficientnet_b0", "inceptionv3", "fastscnn_cityscapes", "unet_cityscapes",
    "simplepose_resnet18_coco", "resnet50", "mobilenetv3_large_w1", "darknet_ref",
    "bisenet_resnet18_celebamaskhq", "lwopenpose2d_mobilenet_cmupan_coco", "centernet_resnet18_voc",
})  # fmt: skip
_LAST_POOLS = ("features.final_pool", "output.final_pool", "output.avg_pool", ".final_block.pool")
_FEATURES = 256


def _make(module: str, function: str, options: Mapping[str, Any]) -> nn.Module:
    # pytorchcv's own registry of names imports every module, one of which needs torchvision.
    made = getattr(importlib.import_module(f"pytorchcv.models.{module}"), function)(**options)
    assert isinstance(made, nn.Module)
    _fit(made, options["in_size"])
    return made


def _fit(network: nn.Module, size: tuple[int, int]) -> None:
    """Fits what stands behind the features, which is made for images of 224 x 224."""
    for name, module in list(network.named_modules()):
        if isinstance(module, nn.AvgPool2d) and name.endswith(_LAST_POOLS):
            network.set_submodule(name, nn.AdaptiveAvgPool2d(1))
    output = getattr(network, "output", None)
    if isinstance(getattr(output, "fc1", None), nn.Module):
        with torch.no_grad():
            found = network.get_submodule("features")(torch.zeros(1, 3, *size)).numel()
        for name, inputs in (("fc1", found), ("fc2", _FEATURES)):
            network.set_submodule(f"output.{name}.fc", nn.Linear(inputs, _FEATURES))
        network.set_submodule("output.fc3", nn.Linear(_FEATURES, 100))


def _architecture(
    family: str, module: str, function: str, options: Mapping[str, Any]
) -> Architecture:
    return Architecture(
        name=function,
        library="pytorchcv",
        family=family,
        inputs=(Input("x", (3, *options["in_size"])),),
        make=partial(_make, module, function, options),
        through_onnx=function in _THROUGH_ONNX,
    )


ARCHITECTURES = (
    *(_architecture("classifier", *row) for row in _CLASSIFIERS),
    *(_architecture("dense prediction", *row) for row in _DENSE),
)
