"""Health of quantization: how production's values compare with those of calibration. No torch."""
