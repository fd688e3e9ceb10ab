"""Computations so short that handing them to a thread would take longer: on the event loop."""

from __future__ import annotations

from smidgen.engine import Engine
from smidgen_service.handlers.admission import Admission
from smidgen_service.handlers.computation import (
    Arrays,
    Computed,
    Wanted,
    compute_at_once,
    compute_bytes,
    shapes_of,
)
from smidgen_service.handlers.engines import EngineCache
from smidgen_service.handlers.run_times import RunTimes, Shapes
from smidgen_service.handlers.tensors import RawTensor
from smidgen_service.handlers.versions import Served
from smidgen_service.quotas import Quotas


class BriefComputations:
    """Computes what needs less time than waiting in line, and gives back what does not.

    Nothing else happens meanwhile, so a computation holds neither a place nor the engine. Where
    others wait for a place it waits behind them.

    Args:
        engines: Those that are there.
        admission: Tells whether a place is free.
        run_times: Tell what is brief.
        quotas: Of inferences in progress.
    """

    def __init__(
        self, engines: EngineCache, admission: Admission, run_times: RunTimes, quotas: Quotas
    ) -> None:
        self._engines = engines
        self._admission = admission
        self._run_times = run_times
        self._quotas = quotas

    def of_bytes(
        self, tensor: RawTensor, served: Served, deadline_s: float | None, most_answer_bytes: int
    ) -> Computed | None:
        """Computes all outputs of a tensor whose layout is known, without making arrays.

        Returns:
            None if arrays are needed: where it is not brief, cannot begin at once, or has values
            that are refused.

        Raises:
            QuotaExceededError: the tenant has as many inferences in progress as it may.
        """
        sha256, shapes = served.record.sha256, (tensor.shape,)
        if not (served.layouts.knows(tensor) and self._run_times.is_brief(sha256, shapes)):
            return None
        engine = self._ready(served, deadline_s)
        if engine is None:
            return None
        run = engine.bytes_run(tensor.shape)
        if run is None or run.output_bytes > most_answer_bytes:
            return None
        self._quotas.check_inference()
        samples = tensor.shape[0] if tensor.shape else 1
        computed = compute_bytes(run, tensor.data, samples, engine.isa)
        if computed is not None:
            self._count(served, shapes, computed)
        return computed

    def of_arrays(
        self, arrays: Arrays, served: Served, wanted: Wanted, deadline_s: float | None
    ) -> Computed | None:
        """Computes a request of which no tensor has to be made; None if it has to wait its turn.

        Raises:
            QuotaExceededError: as of_bytes.
            InvalidTensorError: a value is not finite, or the engine refuses the inputs.
            TooLargeError: the outputs do not fit into an answer.
        """
        engine = self._ready(served, deadline_s)
        if engine is None:
            return None
        self._quotas.check_inference()
        return self.in_place(engine, served, arrays, wanted)

    def in_place(
        self, engine: Engine, served: Served, arrays: Arrays, wanted: Wanted
    ) -> Computed | None:
        """Computes for a request that has a place; None if that would hold up the event loop.

        Raises:
            InvalidTensorError: as of_arrays.
            TooLargeError: as of_arrays.
        """
        if wanted.class_counts:
            return None  # sorting may take long
        shapes = shapes_of(arrays)
        if not self._run_times.is_brief(served.record.sha256, shapes):
            return None
        computed = compute_at_once(engine, arrays, wanted)
        if computed is not None:
            self._count(served, shapes, computed)
        return computed

    def _ready(self, served: Served, deadline_s: float | None) -> Engine | None:
        """Returns the engine if a request may compute before anything else happens."""
        if served.limits is not None or not self._admission.has_place:
            return None
        if deadline_s is not None and deadline_s <= 0:
            return None
        return self._engines.ready(served.record.sha256)

    def _count(self, served: Served, shapes: Shapes, computed: Computed) -> None:
        samples, times = computed.samples, computed.times
        total_s = times.total_s
        self._run_times.record_held(served.record.sha256, shapes, total_s)
        self._run_times.record(served.record.sha256, samples, total_s)
        self._admission.note_usual(total_s)
        served.series.executed(samples, times)
