"""The options of conversion without training."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.config.precision import ALL_INT8, PrecisionConfig
from smidgen.errors import InvalidConfigError


@dataclass(frozen=True, slots=True)
class PostTrainingConfig:
    """What is done to a calibrated model's weights before they are quantized.

    Attributes:
        equalize: Scale the channels between two layers so that their ranges are alike.
        round_weights: Round weights up or down so that the errors of a layer's outputs are small,
            in place of the nearest.
        correct_bias: Take the mean error of each layer's output, as quantization causes it, out of
            the layer's bias.
    """

    equalize: bool = False
    round_weights: bool = False
    correct_bias: bool = False

    @property
    def is_any(self) -> bool:
        """Whether there is anything to do."""
        return self.equalize or self.round_weights or self.correct_bias


def check_together(post_training: PostTrainingConfig, precision: PrecisionConfig) -> None:
    """Refuses post-training options for weights of other bits than those that they reckon with.

    Raises:
        InvalidConfigError: reason POST_TRAINING_WITH_PRECISION.
    """
    if post_training.is_any and precision != ALL_INT8:
        raise InvalidConfigError(
            "the post-training options reckon with int8 weights, and precision asks for others; "
            "leave one of them out, or train with the precision",
            reason="POST_TRAINING_WITH_PRECISION",
            field="post_training",
        )
