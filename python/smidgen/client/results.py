"""The answer to an inference request."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from smidgen.client.requests import as_seconds
from smidgen.client.tensors import decode_tensors
from smidgen.v1 import inference_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class InferResult:
    """Outputs, and how they came about.

    Attributes:
        outputs: The outputs by name, in the model's order, read-only.
        model_version: The version that answered, `models/{model}/versions/{version}`.
        isa: Instruction set of the kernels.
        queue_time_s: Time between arrival and start of the computation, in seconds.
        compute_time_s: Time of the computation, in seconds.
    """

    outputs: Mapping[str, NDArray[Any]]
    model_version: str
    isa: str
    queue_time_s: float
    compute_time_s: float

    def __getitem__(self, name: str) -> NDArray[Any]:
        """Returns an output. Raises: KeyError, which names the outputs that are there."""
        if name not in self.outputs:
            raise KeyError(f"no output {name!r} was returned, only {', '.join(self.outputs)}")
        return self.outputs[name]


def decode_result(response: pb.InferResponse) -> InferResult:
    """Reads an answer from the wire. Raises: InvalidTensorError if its tensors are malformed."""
    return InferResult(
        outputs=decode_tensors(response.outputs),
        model_version=response.model_version,
        isa=response.isa,
        queue_time_s=as_seconds(response.queue_time),
        compute_time_s=as_seconds(response.compute_time),
    )
