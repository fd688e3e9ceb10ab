"""Random programs built like image nets, so that an engine can fuse and place their steps."""

from __future__ import annotations

import dataclasses

from smidgen.program import Conv2d, Lookup, Program, TensorInfo
from smidgen.program.steps import step_inputs
from tests.python.program.random_programs import QParams, RandomProgram


class RandomImageNet(RandomProgram):
    """Convolutions with residuals, tables and concatenations around them, and few outputs."""

    def program(self) -> Program:
        """Returns the program; its outputs are what no step reads, at times one more."""
        program = super().program()
        read = {name for step in program.steps for name in step_inputs(step)}
        unread = [name for name in self._tensors if name not in read]
        inner = [self._pick(*self._tensors)] if self._one_in(3) else []
        return dataclasses.replace(program, outputs=tuple(dict.fromkeys([*inner, *unread])))

    def _qparams(self) -> QParams:
        """At times those of another tensor, as concatenations need."""
        known = [(t.scale, t.zero_point) for t in self._tensors.values() if t.scale is not None]
        return super()._qparams() if not known or self._one_in(2) else self._pick(*known)

    def _grow(self) -> None:
        source = self._source()
        if source.scale is None or len(source.shape) != 4 or self._one_in(3):
            super()._grow()
        else:
            self._pick(self._residual, self._branches, self._densely)(source)

    def _newest(self) -> TensorInfo:
        return list(self._tensors.values())[-1]

    def _same(self, source: TensorInfo, outs: int, qparams: QParams | None = None) -> TensorInfo:
        """Adds a convolution that keeps height and width; returns its output or `source`."""
        batch, channels, *spatial = self._shapes[source.name]
        is_depthwise = outs == channels and self._one_in(2)
        kernel, dilation = self._pick(1, 3, 3, 5), self._pick(1, 1, 1, 2)
        shape = (outs, 1 if is_depthwise else channels, kernel, kernel)
        invented, constants = self._layer(source, shape)
        self._append_if_small(
            Conv2d,
            (batch, outs, *spatial),
            qparams or invented,
            input=source.name,
            groups=channels if is_depthwise else 1,
            padding=(dilation * (kernel // 2),) * 4,
            dilation=(dilation, dilation),
            **constants,
            **self._clamp(),
        )
        return self._newest()

    def _residual(self, source: TensorInfo) -> None:
        """Adds a convolution, at times a table behind it, and the sum of that and its input."""
        shape = self._shapes[source.name]
        inner = self._same(source, shape[1])
        if self._one_in(2):
            self._lookup(inner)
        if self._shapes[self._newest().name] == shape and not self._one_in(4):
            self._add(self._newest())

    def _branches(self, source: TensorInfo) -> None:
        """Adds convolutions of one input and their concatenation, at times a table behind each."""
        qparams = self._qparams()
        for _ in range(self._below(1, 4)):
            branch = self._same(source, self._below(1, 40), qparams)
            if self._one_in(3):
                table = self._constant(self._rng.integers(0, 256, 256, "uint8"))
                shape = self._shapes[branch.name]
                self._append(Lookup, shape, qparams, input=branch.name, table=table)
        self._concat(self._newest())

    def _densely(self, source: TensorInfo) -> None:
        """Adds convolutions of which each reads all before it, concatenated."""
        assert source.scale is not None
        for _ in range(self._below(1, 4)):
            self._same(source, self._below(1, 20), (source.scale, source.zero_point))
            self._concat(source)
            if len(self._newest().shape) == 4:
                source = self._newest()
