"""Quantization-aware training: fake quantization, preparation, losses and the training loop."""
