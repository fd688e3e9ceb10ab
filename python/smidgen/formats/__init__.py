"""Readers of what users bring: exported models and data sets. Nothing is ever executed."""
