"""The errors of the library.

    SmidgenError
    ├── InvalidModelError         a model file is malformed
    ├── UnsupportedOperatorError  a model is well-formed and has something that is not supported
    ├── InvalidDatasetError       a dataset file is malformed or does not fit the model
    ├── InvalidTensorError        a tensor has the wrong name, shape, type, length or values
    ├── InvalidConfigError        an option is out of its range
    ├── CalibrationError          a calibration cannot be made or used
    ├── TrainingError             training diverged
    │   ├── ResumeError           a checkpoint is of another training
    │   └── CheckpointDamagedError  a checkpoint is not what was written
    ├── GateError                 a conversion loses more than it may
    ├── ProgramError              an integer program breaks its rules
    ├── ArtifactError             an artifact file is malformed or damaged
    ├── EngineError               the engine cannot run as asked
    └── MissingExtraError         an optional part of the package is not installed

Every error carries a stable `reason` for programs, and the variable parts of its message in
`metadata`.
"""

from __future__ import annotations

from typing import ClassVar, Self


class SmidgenError(Exception):
    """The root of all errors that the library raises on purpose.

    Attributes:
        message: What was found, what was expected and what to do.
        reason: Stable UPPER_SNAKE_CASE word, 3 to 63 characters.
        metadata: The variable parts of the message by name.
    """

    default_reason: ClassVar[str] = "SMIDGEN_ERROR"

    def __init__(
        self, message: str, *, reason: str | None = None, **metadata: str | int | float
    ) -> None:
        super().__init__(message)
        self.message = message
        self.reason = reason or self.default_reason
        self.metadata = {key: str(value) for key, value in metadata.items()}

    def reworded(self, message: str) -> Self:
        """Returns the same error with another message."""
        other = self.__class__.__new__(self.__class__, message)
        other.__dict__.update(self.__dict__, message=message)
        return other


class InvalidModelError(SmidgenError):
    """A model file is malformed."""

    default_reason = "INVALID_MODEL"


class UnsupportedOperatorError(SmidgenError):
    """A model is well-formed and uses something that is not supported."""

    default_reason = "UNSUPPORTED_OPERATOR"


class InvalidDatasetError(SmidgenError):
    """A dataset file is malformed, or does not fit the model it is used with."""

    default_reason = "INVALID_DATASET"


class InvalidTensorError(SmidgenError):
    """A tensor has the wrong name, shape, type, length or values."""

    default_reason = "INVALID_TENSOR"


class InvalidConfigError(SmidgenError):
    """An option is missing or out of its range."""

    default_reason = "INVALID_CONFIG"


class CalibrationError(SmidgenError):
    """A calibration cannot be made, or does not belong to the model it is used with."""

    default_reason = "CALIBRATION_FAILED"


class TrainingError(SmidgenError):
    """Training cannot go on, for instance because the loss is no longer finite."""

    default_reason = "TRAINING_DIVERGED"


class ResumeError(TrainingError):
    """A checkpoint belongs to a training with other data, options or surroundings."""

    default_reason = "RESUME_FINGERPRINT_MISMATCH"


class CheckpointDamagedError(TrainingError):
    """A checkpoint is not what was written: its digest fails."""

    default_reason = "CHECKPOINT_DAMAGED"


class GateError(SmidgenError):
    """A conversion loses more against the float model than it may."""

    default_reason = "ACCURACY_GATE_FAILED"


class ProgramError(SmidgenError):
    """An integer program breaks the rules of docs/arithmetic.md."""

    default_reason = "INVALID_PROGRAM"


class ArtifactError(SmidgenError):
    """An artifact file is malformed, damaged or of an unknown format version."""

    default_reason = "INVALID_ARTIFACT"


class EngineError(SmidgenError):
    """The engine cannot run as asked, for instance with an instruction set the CPU lacks."""

    default_reason = "ENGINE_UNAVAILABLE"


class MissingExtraError(SmidgenError):
    """What was asked needs an optional part of the package that is not installed."""

    default_reason = "OPTIMIZE_NOT_INSTALLED"
