"""Fuzz targets: readers that must refuse anything malformed, by an error of their own.

    python -m fuzz pt2 --seconds 60

A target is a function from bytes to nothing that any engine can drive. It reads its bytes as a
recipe: how to change a good file of the corpus, so that most inputs get past the outer layers.
"""
