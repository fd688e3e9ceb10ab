"""Measurements against peers; results/ keeps each run."""
