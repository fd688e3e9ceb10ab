"""What callers are for."""

from __future__ import annotations

import enum


class Role(enum.StrEnum):
    """A part that a caller plays within its tenant; it may play several."""

    READER = "reader"
    """Sees what is stored, follows jobs, downloads artifacts."""
    INFERENCER = "inferencer"
    """Runs converted models and sees what they take."""
    OPTIMIZER = "optimizer"
    """Uploads, calibrates, trains and converts; sees what readers see."""
    ADMIN = "admin"
    """Does everything, and alone deletes models and loads or unloads them."""
