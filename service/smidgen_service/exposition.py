"""The text of a scrape: most lines written by the metrics themselves, the rest by their library."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from smidgen_service.series import Written

_OPENMETRICS = "application/openmetrics-text"
_END = b"# EOF\n"
_OTHER_NAMES = re.compile(r";\s*escaping\s*=\s*(dots|values)\b[^;,]*")


class Exposition(Collector):
    """All metrics, for any thread.

    Args:
        rest: Those that the library writes.
        families: Returns those that write themselves, as of now.
        refresh: Is called before each reading.
    """

    def __init__(
        self,
        rest: Collector,
        families: Callable[[], Iterable[Written]] = tuple,
        refresh: Callable[[], None] | None = None,
    ) -> None:
        self._rest = CollectorRegistry()
        self._rest.register(rest)
        self._families = families
        self._refresh = refresh

    def describe(self) -> Iterator[Metric]:
        """Yields the metrics without their series."""
        for metric in self._rest.collect():
            yield Metric(metric.name, metric.documentation, metric.type)
        for family in self._families():
            yield from family.describe()

    def collect(self) -> Iterator[Metric]:
        """Yields the metrics."""
        self._before_reading()
        yield from self._rest.collect()
        for family in self._families():
            yield from family.collect()

    def write(self, accept: str) -> tuple[str, bytes]:
        """Returns type and text of the answer to a scrape.

        Args:
            accept: The types that the peer takes, as HTTP's header of that name.
        """
        self._before_reading()
        encode, content_type = _encoder(accept)
        is_openmetrics = content_type.startswith(_OPENMETRICS)
        own = "".join(
            family.write(is_openmetrics=is_openmetrics) for family in self._families()
        ).encode()
        rest = encode(self._rest)
        if is_openmetrics:
            return content_type, rest.removesuffix(_END) + own + _END
        return content_type, rest + own

    def _before_reading(self) -> None:
        if self._refresh is not None:
            self._refresh()


def _encoder(accept: str) -> tuple[Callable[[Collector], bytes], str]:
    """Returns how the library writes, and the type of it, for types that a peer takes.

    Of schemes to escape names those are passed over that change even names without any need: the
    type says which one holds, and the lines that are not the library's have names as they are.
    """
    wanted = _OTHER_NAMES.sub("", accept)
    try:
        return choose_encoder(wanted)
    except (ValueError, TypeError):  # a version that is no number, which it compares with one
        return choose_encoder("")
