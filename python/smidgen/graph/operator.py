"""What a row of the operator table is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from smidgen.graph.arguments import Arguments, Known, Parameter, Value
from smidgen.graph.lowered import Lowered

Lower = Callable[[Arguments], Lowered]


@dataclass(frozen=True, slots=True)
class Operator:
    """One row of the table.

    Attributes:
        name: Name and overload without the prefix torch.ops.aten, such as `relu_.default`.
        parameters: The parameters in order.
        lower: Tells what a call means.
    """

    name: str
    parameters: tuple[Parameter, ...]
    lower: Lower

    @property
    def is_in_place(self) -> bool:
        """Whether the operator writes to its first argument."""
        base = self.name.split(".", 1)[0]
        return base.endswith("_") and not base.startswith("__")

    def check(self, arguments: Mapping[str, Value]) -> None:
        """Raises ArgumentError if arguments do not fit the parameters by name and type."""
        Arguments(self.parameters, arguments)

    def call(self, arguments: Mapping[str, Value], known: Known | None = None) -> Lowered:
        """Returns what a call with these arguments means.

        Args:
            arguments: The arguments that the call states.
            known: What is known of the model so far; None where there is no model.

        Raises:
            ArgumentError: The arguments do not fit the parameters.
            UnsupportedCase: The call is legal and not supported.
        """
        return self.lower(Arguments(self.parameters, arguments, known))
