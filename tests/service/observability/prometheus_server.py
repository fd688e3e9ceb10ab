"""A real Prometheus, of the Debian package `prometheus`, that scrapes what a test gives it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

PROMETHEUS = shutil.which("prometheus")
PROMTOOL = shutil.which("promtool")
needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None or PROMTOOL is None,
    reason="needs prometheus and promtool: apt-get install prometheus",
)
"""Skips tests where Prometheus is not installed."""

PATIENCE_S = 30.0
SCRAPE_S = 0.2
JOB = "smidgen"
_BETWEEN_LOOKS_S = 0.05
_ALIGNED_S = 0.01
"""Prometheus moves the times of scrapes by a few milliseconds, so that they compress well."""
_LISTENING = re.compile(r'msg="Listening on" address="?127\.0\.0\.1:(\d+)')

Labels = Mapping[str, str]
T = TypeVar("T")


class PrometheusServer:
    """A Prometheus process on a free port of the loopback address, for a `with` block.

    Args:
        folder: Takes its configuration, data and log.
        target_ports: Ports of the loopback address whose /metrics are scraped.
        rule_files: Recording and alerting rules, evaluated as often as is scraped.
        scrape_s: Time between two scrapes, in seconds.
    """

    def __init__(
        self,
        folder: Path,
        *target_ports: int,
        rule_files: Sequence[Path] = (),
        scrape_s: float = SCRAPE_S,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        interval = f"{round(scrape_s * 1000)}ms"
        self._log = folder / "prometheus.log"
        self._data = folder / "data"
        self._configuration = folder / "prometheus.yml"
        self._configuration.write_text(  # JSON is YAML
            json.dumps(
                {
                    "global": {"scrape_interval": interval, "evaluation_interval": interval},
                    "rule_files": [str(path.resolve()) for path in rule_files],
                    "scrape_configs": [
                        {
                            "job_name": JOB,
                            "static_configs": [
                                {"targets": [f"127.0.0.1:{port}" for port in target_ports]}
                            ],
                        }
                    ],
                }
            )
        )
        self._process: subprocess.Popen[bytes] | None = None
        self._url = ""

    def __enter__(self) -> Self:
        """Starts it, and returns once it answers.

        Raises:
            RuntimeError: it does not start; with its log.
        """
        assert PROMETHEUS is not None
        command = [PROMETHEUS, f"--config.file={self._configuration}"]
        command += [f"--storage.tsdb.path={self._data}", "--web.listen-address=127.0.0.1:0"]
        command += ["--enable-feature=exemplar-storage"]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            self._url = f"http://127.0.0.1:{self._until(self._port)}"
            self._until(self._is_ready)
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_error: object) -> None:
        self.stop()

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()  # nobody wants what it has stored
            self._process.wait()

    def api(self, path: str, **parameters: str) -> Any:
        """Returns the data that a path below /api/v1 answers with.

        Raises:
            ValueError: Prometheus refuses the call; with what it says.
        """
        url = f"{self._url}/api/v1/{path}?{urllib.parse.urlencode(parameters)}"
        try:
            with urllib.request.urlopen(url, timeout=PATIENCE_S) as response:
                return json.load(response)["data"]
        except urllib.error.HTTPError as error:
            with error:
                raise ValueError(f"{path}: {error.read().decode()}") from None

    def query(self, expression: str) -> list[tuple[Labels, float]]:
        """Returns the series of an instant query, with their labels and values."""
        answer = self.api("query", query=expression)
        if answer["resultType"] == "scalar":
            return [({}, float(answer["result"][1]))]
        return [(entry["metric"], float(entry["value"][1])) for entry in answer["result"]]

    def value(self, expression: str) -> float | None:
        """Returns the value of a query of one series; None where there is none."""
        found = self.query(expression)
        assert len(found) <= 1, found
        return found[0][1] if found else None

    def wait_for(self, expression: str, expected: float) -> None:
        """Returns once a query of one series has a value.

        Raises:
            AssertionError: it has none in time.
        """
        self._until(lambda: self.value(expression) == expected or None)

    def until_scraped(self) -> None:
        """Returns once all targets were scraped, from now on.

        Raises:
            AssertionError: they are not in time, with what Prometheus says of them.
        """
        begin_s = time.time() + _ALIGNED_S

        def was_scraped() -> bool | None:
            oldest_s = self.value(f'min(timestamp(up{{job="{JOB}"}}) * up{{job="{JOB}"}})')
            return True if oldest_s is not None and oldest_s > begin_s else None

        self._until(was_scraped)

    def metadata(self) -> Mapping[str, Mapping[str, str]]:
        """Returns type, help and unit of all metrics as the targets told them."""
        return {name: entries[0] for name, entries in self.api("metadata").items()}

    def exemplars(self, selector: str) -> list[Any]:
        """Returns the series of a selector that have exemplars, of the last hour."""
        now_s = time.time()
        window = {"start": str(now_s - 3600), "end": str(now_s + 60)}
        found: list[Any] = self.api("query_exemplars", query=selector, **window)
        return found

    def _port(self) -> str | None:
        found = _LISTENING.search(self._log.read_text())
        return found[1] if found else None

    def _is_ready(self) -> bool | None:
        try:
            with urllib.request.urlopen(f"{self._url}/-/ready", timeout=PATIENCE_S):
                return True
        except urllib.error.HTTPError as error:
            error.close()
        except OSError:  # its end is noticed below
            pass
        return None

    def _until(self, look: Callable[[], T | None]) -> T:
        assert self._process is not None
        end_s = time.monotonic() + PATIENCE_S
        while (found := look()) is None:
            if self._process.poll() is not None:
                raise RuntimeError(f"Prometheus has ended:\n{self._log.read_text()}")
            assert time.monotonic() < end_s, self._log.read_text()
            time.sleep(_BETWEEN_LOOKS_S)
        return found
