"""What the bytes of a training depend on."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields
from importlib.metadata import version
from typing import Any

import torch

from smidgen.config import PrecisionConfig, QATConfig
from smidgen.config.documents import to_document
from smidgen.config.precision import ALL_INT8
from smidgen.data.source import SampleSource
from smidgen.engine import available_isas
from smidgen.errors import ResumeError
from smidgen.profile import CalibrationProfile

_SHOWN_OPTIONS = 8
_SHOWN_CHARACTERS = 60


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
        options: The options themselves as JSON, to name those that differ; empty in checkpoints
            of earlier versions. It is `config` that decides.
    """

    model: str
    profile: str
    data: str
    evaluation_data: str
    config: str
    versions: str
    isa: str
    threads: int
    options: str = field(default="", compare=False)

    def check(self, other: Fingerprint) -> None:
        """Refuses a checkpoint with another fingerprint.

        Raises:
            ResumeError: it has; the error names the parts.
        """
        names = (part.name for part in fields(self) if part.compare)
        parts = [name for name in names if getattr(self, name) != getattr(other, name)]
        if parts:
            options = self._differing_options(other)
            detail = f" ({_listed(options)})" if options else ""
            raise ResumeError(
                f"the checkpoint is of a training with another {', '.join(parts)}{detail}, so "
                "going on from it would not give the result of either; restore what it had, or "
                "train from the start",
                parts=", ".join(parts),
                **({"options": ", ".join(options)} if options else {}),
                **{f"found_{name}": str(getattr(other, name)) for name in parts},
                **{f"expected_{name}": str(getattr(self, name)) for name in parts},
            )

    def _differing_options(self, other: Fingerprint) -> dict[str, str]:
        """Returns what became of each option that differs, by its path."""
        if self.config == other.config or not (self.options and other.options):
            return {}
        given, found = (dict(_leaves(json.loads(part.options))) for part in (self, other))
        return {
            name: f"it had {_shown(found.get(name))}, {_shown(given.get(name))} is given"
            for name in sorted({*given, *found})
            if given.get(name) != found.get(name)
        }


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
    document = options_document(config, precision)
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
        options=document,
    )


def options_document(config: QATConfig, precision: PrecisionConfig) -> str:
    """Returns the options of a training as JSON, equal text for equal ones."""
    options = {"training": to_document(config), "precision": precision.to_dict()}
    return json.dumps(options, sort_keys=True, separators=(",", ":"))


def _leaves(options: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, object]]:
    """Yields the values of nested options, lists as one, by their path."""
    for name, value in options.items():
        # The training's own options are those of QATConfig, and are called as they are there.
        inner = name if path in ("", "training") else f"{path}.{name}"
        if isinstance(value, Mapping):
            yield from _leaves(value, inner)
        else:
            yield inner, value


def _shown(value: object) -> str:
    text = json.dumps(value, sort_keys=True)
    cut = text[:_SHOWN_CHARACTERS]
    return text if cut == text else f"{cut}..."


def _listed(options: Mapping[str, str]) -> str:
    shown = [f"{name}: {change}" for name, change in list(options.items())[:_SHOWN_OPTIONS]]
    more = len(options) - len(shown)
    return "; ".join(shown) + (f"; and {more} more" if more else "")
