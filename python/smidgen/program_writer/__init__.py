"""Writes the steps of a program, node by node of a fused graph; one module a family of rules."""

from __future__ import annotations
