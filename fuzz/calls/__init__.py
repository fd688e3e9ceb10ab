"""Fuzzing of a running server: calls of every method, with messages that no client would send.

`python -m fuzz.calls` does it for a while; tests/service/test_malformed_calls.py is the short form.
"""
