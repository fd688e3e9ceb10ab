"""The whole journey on 1,797 scanned digits: train, calibrate, quantize, serve, compare."""
