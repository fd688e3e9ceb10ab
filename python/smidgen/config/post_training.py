"""The options of conversion without training."""

from __future__ import annotations

from dataclasses import dataclass


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
