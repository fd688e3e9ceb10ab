"""Graphs of neural networks in float: what an exported model holds, and building torch graphs from it.

Only `build` and `modules` import torch.
"""
