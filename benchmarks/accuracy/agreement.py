"""How often a quantized net answers as the float net does, as a table and as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from smidgen.verification import sqnr_db

Logits = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Agreement:
    """What one quantized form answers on the held-out samples.

    Attributes:
        form: What was measured.
        agreeing: Samples whose largest output is the float net's.
        count: All samples.
        sqnr_db: Ratio of the float logits to what quantization changes in them; None if it changes
            nothing.
    """

    form: str
    agreeing: int
    count: int
    sqnr_db: float | None

    @property
    def percent(self) -> float:
        """Agreement in percent."""
        return 100 * self.agreeing / self.count


def compare(form: str, wanted: Logits, found: Logits) -> Agreement:
    """Compares logits [N, classes] with the float net's."""
    agreeing = int((wanted.argmax(axis=1) == found.argmax(axis=1)).sum())
    return Agreement(form, agreeing, len(wanted), sqnr_db(wanted, found))


def markdown(rows: Sequence[Agreement]) -> str:
    """Returns a table: one row for each form."""
    lines = ["| form | agreement with float | signal to noise of the logits |", "|---|---|---|"]
    for row in rows:
        noise = "no noise" if row.sqnr_db is None else f"{row.sqnr_db:.1f} dB"
        lines.append(f"| {row.form} | {row.percent:.1f} % | {noise} |")
    return "\n".join(lines)


def read_agreements(path: Path, settings: Mapping[str, Any]) -> list[Agreement]:
    """Returns what was measured before; nothing if there is no file.

    Raises:
        ValueError: the file has other settings.
    """
    if not path.exists():
        return []
    document = json.loads(path.read_text())
    if document["settings"] != json.loads(json.dumps(dict(settings))):
        raise ValueError(f"{path} was measured with other settings; remove it or name another file")
    return [Agreement(**row) for row in document["rows"]]


def write_agreements(
    path: Path, machine: Mapping[str, str], settings: Mapping[str, Any], rows: Sequence[Agreement]
) -> None:
    """Writes what was measured, and what it depends on."""
    document = {**machine, "settings": dict(settings), "rows": [asdict(row) for row in rows]}
    path.write_text(json.dumps(document, indent=1) + "\n")
