"""Readers of the files that users bring: exported models and data sets. Nothing in them is ever executed."""
