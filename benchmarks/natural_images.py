"""Images that are as smooth as photographs, made of random numbers."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SHARED = 0.9  # of the variance of a channel: photographs are mostly light and dark


def natural_like(count: int, shape: tuple[int, int, int], *, seed: int) -> NDArray[np.float32]:
    """Returns images [count, C, H, W] whose amplitudes fall with frequency as those of photographs.

    Amplitude is 1 / frequency, phases are random, channels share most of what they show. Each image
    has mean 0 and variance 1.
    """
    channels, height, width = shape
    rng = np.random.default_rng(seed)
    frequencies = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None, :])
    frequencies[0, 0] = 1.0
    noise = rng.standard_normal((count, channels + 1, height, width))
    spectrum = np.fft.rfft2(noise) / frequencies
    spectrum[..., 0, 0] = 0.0
    layers = np.fft.irfft2(spectrum, s=(height, width))
    mixed = np.sqrt(SHARED) * layers[:, :1] + np.sqrt(1.0 - SHARED) * layers[:, 1:]
    scaled: NDArray[np.float32] = (mixed / mixed.std(axis=(1, 2, 3), keepdims=True)).astype("f4")
    return scaled
