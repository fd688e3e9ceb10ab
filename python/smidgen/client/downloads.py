"""Fetches artifact files, continues where a download stopped, and checks the digest."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

import grpc

from smidgen.client.calls import Caller
from smidgen.client.errors import UnavailableError
from smidgen.client.patience import Patience
from smidgen.client.uploads import TransferProgress
from smidgen.errors import ArtifactError
from smidgen.v1 import model_service_pb2 as pb


@dataclass(frozen=True, slots=True)
class Download:
    """One artifact on its way to a file.

    Attributes:
        caller: Makes the call.
        method: The method that sends the artifact.
        version: Whose artifact; tells its size and digest.
        on_progress: Is told the bytes received.
    """

    caller: Caller
    method: grpc.UnaryStreamMultiCallable[pb.DownloadArtifactRequest, pb.DownloadArtifactResponse]
    version: pb.ModelVersion
    on_progress: TransferProgress

    def run(self, path: Path, patience: Patience) -> None:
        """Fetches the artifact to path, which appears only when it is whole and right.

        What arrives is kept beside path under a name with the digest in it, and the next download
        of the same artifact goes on from there.

        Raises: RemoteError; ArtifactError if the bytes are not the version's; OSError.
        """
        part = path.with_name(f".{path.name}.{self.version.sha256[:16]}.part")
        while _size(part) < self.version.size_bytes:
            try:
                self._append(part, patience)
            except UnavailableError as error:
                patience.wait(error)
        _check_digest(part, self.version)
        part.replace(path)

    def _append(self, part: Path, patience: Patience) -> None:
        start = _size(part)
        request = pb.DownloadArtifactRequest(name=self.version.name, read_offset=start)
        with part.open("ab") as file:
            for response in self.caller.receive(self.method, request):
                _check_piece(response, self.version, file.tell())
                file.write(response.data)
                patience.seen()
                self.on_progress(file.tell(), self.version.size_bytes)
            file.flush()
            os.fsync(file.fileno())
        if _size(part) == start:
            raise ArtifactError(
                f"{self.version.name} ended at byte {start}, expected "
                f"{self.version.size_bytes} bytes; the server's copy is cut short",
                reason="ARTIFACT_TRUNCATED",
                name=self.version.name,
                found=start,
                expected=self.version.size_bytes,
            )


def _size(part: Path) -> int:
    return part.stat().st_size if part.exists() else 0


def _check_piece(
    response: pb.DownloadArtifactResponse, version: pb.ModelVersion, position: int
) -> None:
    if response.offset != position or response.sha256 != version.sha256:
        raise ArtifactError(
            f"{version.name} sent bytes at {response.offset} of {response.sha256}, "
            f"expected {position} of {version.sha256}; download it again",
            reason="ARTIFACT_OUT_OF_ORDER",
            name=version.name,
            found=response.offset,
            expected=position,
        )


def _check_digest(part: Path, version: pb.ModelVersion) -> None:
    with part.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != version.sha256:
        part.unlink()
        raise ArtifactError(
            f"The download of {version.name} has SHA-256 {found}, expected {version.sha256}; "
            "the bytes were discarded, download it again",
            reason="ARTIFACT_DIGEST_MISMATCH",
            name=version.name,
            found=found,
            expected=version.sha256,
        )
