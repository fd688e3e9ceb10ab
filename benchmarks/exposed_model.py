"""An exported ONNX model whose inner tensors can be seen, and some of them given from outside."""

from __future__ import annotations

from collections.abc import Collection

from onnx import ModelProto, TensorProto, helper

from smidgen.program import DType, Program

GIVEN = "/given"
"""Behind the name of a tensor: what its readers read instead of it."""


def expose(model: ModelProto, program: Program, *, given: Collection[str] = ()) -> list[str]:
    """Makes the quantized tensors of a program outputs of its exported model, in place.

    Args:
        model: What export_onnx made of the program.
        program: The program.
        given: Tensors that become inputs as well: what reads them reads the input of that name with
            GIVEN behind it, so that no difference before it is seen after it.

    Returns:
        The names of the outputs, those of the program first.
    """
    graph = model.graph
    for node in graph.node:
        for index, name in enumerate(node.input):
            if name in given:
                node.input[index] = name + GIVEN
    for name in given:
        tensor = program.tensor(name)
        kind = helper.np_dtype_to_tensor_dtype(tensor.dtype.numpy)
        extents = ["batch" if extent is None else extent for extent in tensor.shape]
        graph.input.append(helper.make_tensor_value_info(name + GIVEN, kind, extents))
    stated = {output.name for output in graph.output}
    seen = [
        step.output
        for step in program.steps
        if program.tensor(step.output).dtype is DType.UINT8 and step.output not in stated
    ]
    for name in seen:
        graph.output.append(helper.make_tensor_value_info(name, TensorProto.UINT8, None))
    return [*program.outputs, *seen]
