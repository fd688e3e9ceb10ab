"""What quantization costs in accuracy, on real data."""
