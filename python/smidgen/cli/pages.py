"""Writes reports as pages."""

from __future__ import annotations

from pathlib import Path

from smidgen.durable_file import write_durably
from smidgen.html_report import ReportDocument, render


def write_page(path: Path, document: ReportDocument) -> int:
    """Writes a page whole and returns its size in bytes.

    Raises: OSError.
    """
    page = render(document).encode()
    write_durably(path, page)
    return len(page)
