"""A certificate authority for tests, made with the openssl command."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Pair:
    """A certificate and its key."""

    certificate: Path
    key: Path


class Authority:
    """A root that issues certificates for 127.0.0.1 and localhost."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True)
        self.certificate = root / "ca.pem"
        self._key = root / "ca.key"
        constraint = "basicConstraints=critical,CA:TRUE"
        request = (
            *("req", "-x509", *_NEW_KEY, self._key, "-out", self.certificate),
            *("-days", "30", "-subj", f"/CN={root.name}", "-addext", constraint),
        )
        _openssl(*request)

    def issue(self, name: str, *alternatives: str) -> Pair:
        """Returns a certificate with a common name and more alternative names."""
        pair = Pair(self._root / f"{name}.pem", self._root / f"{name}.key")
        request, extensions = self._root / f"{name}.csr", self._root / f"{name}.ext"
        _openssl("req", *_NEW_KEY, pair.key, "-out", request, "-subj", f"/CN={name}")
        names = ",".join(("DNS:localhost", "IP:127.0.0.1", *alternatives))
        extensions.write_text(f"subjectAltName={names}\n")
        _openssl(
            *("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self._key),
            *("-CAcreateserial", "-days", "30", "-extfile", extensions, "-out", pair.certificate),
        )
        return pair


_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout")


def _openssl(*arguments: str | Path) -> None:
    subprocess.run(["openssl", *arguments], check=True, capture_output=True)
