"""Calls that run a model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from smidgen.client import requests
from smidgen.client.connection import Connection
from smidgen.client.names import version_name
from smidgen.client.requests import Batch
from smidgen.client.results import InferResult, decode_result


class InferenceCalls(Connection):
    """Runs models."""

    def infer(
        self,
        model: str,
        inputs: Batch,
        *,
        version: int | str | None = None,
        output_names: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> InferResult:
        """Runs a model's version, the newest by default, on one array or on arrays by input name.

        An alias takes the place of a version: `infer("digits", images, version="production")`.

        Raises: InvalidTensorError for arrays that cannot be sent; RemoteError.
        """
        request = requests.infer_request(version_name(model, version), inputs, output_names)
        return decode_result(
            self._caller.unary(self._inference.Infer, request, timeout_s=timeout_s)
        )

    def infer_images(
        self,
        model: str,
        images: Sequence[bytes] | NDArray[np.uint8],
        *,
        version: int | str | None = None,
        output_names: Sequence[str] = (),
        timeout_s: float | None = None,
    ) -> InferResult:
        """Runs a version that records its preprocessing on images as they are.

        Args:
            model: The model.
            images: JPEG or PNG files as bytes, or pixels [N, height, width, 1 or 3].
            version: The version or an alias, the newest by default.
            output_names: Outputs to return, all by default.
            timeout_s: Deadline in seconds; that of the client by default.

        Raises: InvalidTensorError for images that cannot be sent; RemoteError.
        """
        name = version_name(model, version)
        request = requests.infer_images_request(name, images, output_names)
        return decode_result(
            self._caller.unary(self._inference.Infer, request, timeout_s=timeout_s)
        )
