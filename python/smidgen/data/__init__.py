"""Samples for calibration, training and evaluation, by the batch: arrays, or images in archives.

The only package that decodes images. It needs no torch, and Pillow only where an image is decoded.
"""
