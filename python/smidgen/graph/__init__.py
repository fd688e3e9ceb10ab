"""Graphs of neural networks in float: exported models, and torch graphs built from them.

Only `build` and `modules` import torch.
"""
