"""Programs that go out as ONNX files and come back."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from smidgen.formats.onnx_export import export_onnx
from smidgen.formats.onnx_import import read_quantized_onnx
from smidgen.program import Dequantize, DType, Program, Quantize, Step


def come_back(program: Program, folder: Path) -> Program:
    """Returns what is read from the file of a program."""
    path = folder / "program.onnx"
    path.write_bytes(export_onnx(program).SerializeToString())
    return read_quantized_onnx(path)


def with_float_ends(program: Program) -> Program:
    """Returns a program of float inputs and outputs, as convert writes them.

    An input of bytes is quantized from floats, and an output of bytes dequantized.
    """
    tensors = dict(program.tensors)
    before: list[Step] = []
    behind: list[Step] = []
    inputs, outputs = list(program.inputs), list(program.outputs)
    for index, name in enumerate(inputs):
        if tensors[name].dtype is DType.UINT8:
            inputs[index] = f"{name}_real"
            shape = tensors[name].shape
            tensors[inputs[index]] = replace(
                tensors[name], name=inputs[index], dtype=DType.FLOAT32, scale=None, zero_point=0
            )
            before.append(Quantize(inputs[index], name))
            assert tensors[inputs[index]].shape == shape
    for index, name in enumerate(outputs):
        if tensors[name].dtype is DType.UINT8:
            outputs[index] = f"{name}_value"
            tensors[outputs[index]] = replace(
                tensors[name], name=outputs[index], dtype=DType.FLOAT32, scale=None, zero_point=0
            )
            behind.append(Dequantize(name, outputs[index]))
    steps = (*before, *program.steps, *behind)
    return replace(
        program, inputs=tuple(inputs), outputs=tuple(outputs), tensors=tensors, steps=steps
    )


def with_fixed_extents(program: Program, extent: int) -> Program:
    """Returns a program in which only the batch may have any size."""
    tensors = {
        name: replace(
            tensor,
            shape=tuple(
                extent if found is None and axis else found
                for axis, found in enumerate(tensor.shape)
            ),
        )
        for name, tensor in program.tensors.items()
    }
    return replace(program, tensors=tensors)
