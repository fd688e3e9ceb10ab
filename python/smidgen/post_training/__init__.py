"""What makes a model easier to quantize without training it, one way a file."""

from smidgen.post_training.apply import PostTrained, apply_post_training
from smidgen.post_training.correct_bias import correct_bias
from smidgen.post_training.equalize import equalize
from smidgen.post_training.round_weights import round_weights

__all__ = ["PostTrained", "apply_post_training", "correct_bias", "equalize", "round_weights"]
