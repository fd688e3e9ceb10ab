"""Smidgen makes neural networks small and fast without losing their accuracy."""

from __future__ import annotations

__version__ = "0.1.0"
