"""Buildah, with a storage of its own in a folder."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class Buildah:
    """Builds images in chroots, so that no engine, daemon or nested container is needed.

    Attributes:
        folder: Where images and containers are kept, whole: its driver copies, as overlays may not
            be had within containers and virtual machines.
    """

    folder: Path

    def import_root(self, root: Path, name: str) -> None:
        """Makes an image of one layer from the files below a folder."""
        container = self._run("from", "scratch").strip()
        self._run("add", "--quiet", container, f"{root}/", "/")
        self._run("commit", "--quiet", "--rm", container, name)

    def build(
        self,
        context: Path,
        name: str,
        *,
        target: str,
        arguments: Mapping[str, str],
        secrets: Mapping[str, Path],
        folders: Sequence[Path] = (),
    ) -> None:
        """Builds a target of a Dockerfile; its output goes to that of this process.

        Args:
            context: The folder of the Dockerfile and of what it copies.
            name: What the image is called then.
            target: Stage of the Dockerfile.
            arguments: Values of its ARGs.
            secrets: Files that commands see while they run, by id.
            folders: Those that they see besides, where they are here, and cannot write to.

        Raises:
            subprocess.CalledProcessError: the build failed.
        """
        # The format is Docker's own, as that of OCI knows no HEALTHCHECK.
        options = ["--isolation=chroot", "--format=docker", f"--target={target}", f"--tag={name}"]
        options += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        options += [f"--secret=id={key},src={path}" for key, path in secrets.items()]
        options += [f"--volume={path}:{path}:ro" for path in folders]
        command = [*self._command(), "build", *options, str(context)]
        subprocess.run(command, check=True, env=self._environment())

    def has(self, name: str) -> bool:
        """Tells whether there is an image of that name."""
        command = [*self._command(), "inspect", "--type=image", name]
        done = subprocess.run(command, check=False, capture_output=True, env=self._environment())
        return done.returncode == 0

    def configuration(self, name: str) -> dict[str, Any]:
        """Returns the configuration of an image: User, Env, Cmd, Healthcheck and so on."""
        document = json.loads(self._run("inspect", "--type=image", name))
        found: dict[str, Any] = document["Docker"]["config"]
        return found

    def unpack(self, name: str) -> tuple[str, Path]:
        """Returns a new container of an image, by which to remove it, and its files' folder."""
        container = self._run("from", "--pull-never", name).strip()
        return container, Path(self._run("mount", container).strip())

    def remove(self, container: str) -> None:
        """Removes a container."""
        self._run("rm", container)

    def save(self, name: str, archive: Path) -> None:
        """Writes an image into a file that `docker load` takes."""
        archive.unlink(missing_ok=True)
        self._run("push", "--quiet", name, f"docker-archive:{archive}:{name}")

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._command(), *arguments],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
            env=self._environment(),
        )
        return done.stdout

    def _command(self) -> list[str]:
        images, running = self.folder / "images", self.folder / "running"
        options = [f"--root={images}", f"--runroot={running}", "--storage-driver=vfs"]
        return ["buildah", *options]

    def _environment(self) -> dict[str, str]:
        # Layers are unpacked there, and /tmp may be small.
        (self.folder / "scratch").mkdir(parents=True, exist_ok=True)
        return {**os.environ, "TMPDIR": str(self.folder / "scratch")}
