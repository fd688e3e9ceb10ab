"""The Smidgen server: Calibrate, TrainQAT, Convert and Infer over gRPC."""
