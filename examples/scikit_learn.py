"""A model that never saw PyTorch: trained by scikit-learn, written as ONNX, run in int8.

The file is written with ONNX's own helper, as exporters of other frameworks write theirs; whatever
comes out of one of these, the rest is the same.

    python examples/scikit_learn.py
"""

from __future__ import annotations

import tempfile
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

import smidgen

TRAINING = 1297


def write_onnx(network: Any, path: Path) -> None:
    """Writes scikit-learn's layers as Gemm and Relu, with a batch of any size."""
    nodes, weights = [], []
    value = "pixels"
    layers = list(zip(network.coefs_, network.intercepts_, strict=True))
    for index, (matrix, bias) in enumerate(layers):
        names = [f"weight{index}", f"bias{index}"]
        for name, array in zip(names, (matrix, bias), strict=True):
            weights.append(numpy_helper.from_array(array.astype(np.float32), name))
        is_last = index == len(layers) - 1
        result = "logits" if is_last else f"sum{index}"
        nodes.append(helper.make_node("Gemm", [value, *names], [result]))
        value = result
        if not is_last:
            value = f"hidden{index}"
            nodes.append(helper.make_node("Relu", [result], [value]))
    sizes = {"pixels": len(layers[0][0]), "logits": len(layers[-1][1])}
    inputs, outputs = (
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", sizes[name]])]
        for name in ("pixels", "logits")
    )
    graph = helper.make_graph(nodes, "digits", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    onnx.save(model, path)


def main() -> int:
    """Trains, converts without a server, and compares; returns 0."""
    pixels, labels = load_digits(return_X_y=True)
    pixels = (pixels / 16).astype(np.float32)
    network = MLPClassifier((64, 32), max_iter=40, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # long enough for digits
        network.fit(pixels[:TRAINING], labels[:TRAINING])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "digits.onnx"
        write_onnx(network, path)
        conversion = smidgen.quantize(path, calibration=pixels[:256])
    engine = smidgen.Engine(conversion.program)
    logits = engine.run({"pixels": pixels[TRAINING:]})["logits"]
    found = {
        "scikit-learn": network.predict(pixels[TRAINING:]),
        "int8": logits.argmax(axis=1),
    }
    for title, classes in found.items():
        print(f"{title}: {(classes == labels[TRAINING:]).mean():.1%} of {len(classes)}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
