"""What EfficientNet-lite0 is shown."""

from __future__ import annotations

import numpy as np

from benchmarks.accuracy.efficientnet import CONFIG, EVALUATION_COUNT, TRAINING_COUNT, to_input


def test_crops_are_scaled_and_turned() -> None:
    crops = np.zeros((1, 2, 3, 3), np.uint8)
    crops[0, 0, 1] = [127, 255, 63]  # first row, middle column
    images = to_input(crops)
    assert (images.shape, images.dtype) == ((1, 3, 2, 3), np.float32)
    assert images[0, :, 1, 1].tolist() == [0.0, 1.0, -0.5]
    assert np.all(images[0, :, 0] == -127 / 128)


def test_epochs_have_whole_batches() -> None:
    assert (TRAINING_COUNT - EVALUATION_COUNT) % CONFIG.batch_size == 0
    assert round(CONFIG.evaluation_fraction * TRAINING_COUNT) == EVALUATION_COUNT
