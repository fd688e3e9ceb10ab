"""What the bytes of a training depend on."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields
from importlib.metadata import version

import torch

from smidgen.config import PrecisionConfig, QATConfig
from smidgen.config.documents import to_document
from smidgen.config.precision import ALL_INT8
from smidgen.data.source import SampleSource
from smidgen.engine import available_isas
from smidgen.errors import ResumeError
from smidgen.profile import CalibrationProfile


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """All that a training must have in common with its checkpoint.

    Attributes:
        model: SHA-256 of the model file.
        profile: SHA-256 of the calibration profile.
        data: SHA-256 of the training data.
        evaluation_data: SHA-256 of the evaluation data; empty for a held-out share.
        config: SHA-256 of the options.
        versions: Of this package, torch and numpy.
        isa: Instruction sets that torch and the engine use.
        threads: Threads of torch.
    """

    model: str
    profile: str
    data: str
    evaluation_data: str
    config: str
    versions: str
    isa: str
    threads: int

    def check(self, other: Fingerprint) -> None:
        """Refuses a checkpoint with another fingerprint.

        Raises:
            ResumeError: it has; the error names the parts.
        """
        names = (field.name for field in fields(self))
        parts = [name for name in names if getattr(self, name) != getattr(other, name)]
        if parts:
            raise ResumeError(
                f"the checkpoint is of a training with another {', '.join(parts)}, so going on "
                "from it would not give the result of either; restore what it had, or train from "
                "the start",
                parts=", ".join(parts),
                **{f"found_{name}": str(getattr(other, name)) for name in parts},
                **{f"expected_{name}": str(getattr(self, name)) for name in parts},
            )


def take_fingerprint(
    model_sha256: str,
    profile: CalibrationProfile,
    training: SampleSource,
    evaluation: SampleSource | None,
    config: QATConfig,
    *,
    precision: PrecisionConfig = ALL_INT8,
) -> Fingerprint:
    """Returns the fingerprint of a training on this machine, with torch as it is set now."""
    options = {"training": to_document(config), "precision": precision.to_dict()}
    document = json.dumps(options, sort_keys=True, separators=(",", ":"))
    packages = ("smidgen", "torch", "numpy")
    return Fingerprint(
        model=model_sha256,
        profile=hashlib.sha256(profile.to_json()).hexdigest(),
        data=training.digest(),
        evaluation_data="" if evaluation is None else evaluation.digest(),
        config=hashlib.sha256(document.encode()).hexdigest(),
        versions=" ".join(f"{name} {version(name)}" for name in packages),
        isa=" ".join([torch.backends.cpu.get_cpu_capability(), *available_isas()]),
        threads=torch.get_num_threads(),
    )
