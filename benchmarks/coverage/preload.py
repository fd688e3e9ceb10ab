"""Imported once by the server that trials are forked from: what every trial would import anew."""

from __future__ import annotations

import contextlib
import logging
import warnings

import torch
from torch import nn

import smidgen.pipeline  # noqa: F401
from benchmarks.coverage.architectures import ARCHITECTURES  # noqa: F401

warnings.simplefilter("ignore")
logging.disable(logging.WARNING)
torch.set_num_threads(1)

# The first export and the first model of transformers import much that nothing names.
torch.export.export(
    nn.Linear(2, 2), (torch.zeros(2, 2),), dynamic_shapes=({0: torch.export.Dim("batch")},)
)
with contextlib.suppress(ImportError):  # the trials tell which package is missing
    import transformers.models.bert.modeling_bert  # noqa: F401
