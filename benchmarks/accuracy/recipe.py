"""How nets that know their training images by heart are trained with quantization simulated."""

from __future__ import annotations

from smidgen.config import LossConfig, QATConfig, StageConfig


def distillation(*, epochs: int, fine_tune_epochs: int, seed: int) -> QATConfig:
    """Returns the options of a training that holds on to what the float net computes.

    The float nets answer nearly all of their training images rightly and surely, so that neither
    labels nor the probabilities themselves tell much. At a temperature of 4 the probabilities of
    the other classes count, which do. Batch norm keeps its statistics: those of a batch would
    change the net far more than rounding does.
    """
    return QATConfig(
        epochs=epochs,
        fine_tune_epochs=fine_tune_epochs,
        batch_size=64,
        learning_rate=5e-4,
        quantization_loss_weight=1.0,
        seed=seed,
        loss=LossConfig(temperature=4.0),
        stages=StageConfig(freeze_batch_norm_at=0.0),
    )
