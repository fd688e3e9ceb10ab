"""Spans of calls, for who has OpenTelemetry, and the identity of a trace for who has not."""
