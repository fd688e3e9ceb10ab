"""Triton's own client, unchanged, and the model that quickstart.py has put on the server.

pip install 'tritonclient[grpc]'
python examples/triton_client.py --server 127.0.0.1:8001
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import tritonclient.grpc as triton


def main() -> int:
    """Sends images and writes the logits to a file if one is named; returns 0."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", default="127.0.0.1:8001", help="host:port")
    parser.add_argument("--images", type=Path, help="array [N, 1, 8, 8] of float32, .npy")
    parser.add_argument("--out", type=Path, help="where to put the logits, .npy")
    options = parser.parse_args()
    images = np.zeros((1, 1, 8, 8), np.float32)
    if options.images is not None:
        images = np.load(options.images)

    client = triton.InferenceServerClient(options.server)
    if not client.is_model_ready("quickstart"):
        sys.exit("there is no model quickstart; run quickstart.py first")
    description = client.get_model_metadata("quickstart")
    (tensor,) = description.inputs
    print(f"version {description.versions[-1]}, input {tensor.name} {list(tensor.shape)}")

    given = triton.InferInput(tensor.name, list(images.shape), tensor.datatype)
    given.set_data_from_numpy(images)
    logits = client.infer("quickstart", [given]).as_numpy(description.outputs[0].name)
    print("classes", logits.argmax(axis=1).tolist())
    if options.out is not None:
        np.save(options.out, logits)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
