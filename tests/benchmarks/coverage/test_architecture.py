"""Inputs of networks are drawn as their description says."""

from __future__ import annotations

import torch

from benchmarks.coverage.architecture import Input


def draw(described: Input, batch: int, seed: int = 0) -> torch.Tensor:
    return described.sample(batch, torch.Generator().manual_seed(seed))


def test_floats_are_normally_distributed() -> None:
    drawn = draw(Input("x", (3, 50)), 40)
    assert drawn.shape == (40, 3, 50)
    assert drawn.dtype == torch.float32
    assert abs(float(drawn.mean())) < 0.05
    assert abs(float(drawn.std()) - 1) < 0.05


def test_integers_are_below_their_count() -> None:
    drawn = draw(Input("ids", (50,), count=7), 40)
    assert drawn.shape == (40, 50)
    assert drawn.unique().tolist() == list(range(7))


def test_a_mask_is_ones_and_then_zeros() -> None:
    drawn = draw(Input("mask", (9,), count=2, is_mask=True), 200)
    assert drawn.shape == (200, 9)
    assert bool((drawn.diff(dim=1) <= 0).all())
    assert drawn.sum(1).unique().tolist() == list(range(1, 10))


def test_equal_seeds_draw_equal_samples() -> None:
    described = Input("x", (4,))
    assert torch.equal(draw(described, 3, seed=1), draw(described, 3, seed=1))
    assert not torch.equal(draw(described, 3, seed=1), draw(described, 3, seed=2))
