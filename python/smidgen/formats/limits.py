"""Caps on what an exported model may hold."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """Caps, each checked before the memory it bounds is allocated.

    Attributes:
        file_bytes: Size of the file.
        entries: Entries of the archive, rows of a table of weights, tensors of ONNX: about one for
            each weight, of which published models have up to 2,000.
        program_bytes: Size of the JSON text of the program, and of each weight table.
        string_length: Length of one string of the program.
        list_length: Items of one list of arguments or sizes, and operands of a node of ONNX.
        nodes: Operators of the graph, four times the steps that a program may have.
        fields: Fields of all messages of an ONNX file; 2,500 nodes have up to 75,000.
        values_per_output: Stated tensors for each value that the graph defines.
        arguments: Arguments of one operator.
        rank: Dimensions of a tensor.
        extent: Largest dimension, kernel, stride or padding.
        elements: Elements of one tensor.
        logical_ratio: Bytes of all tensors over bytes of all records, which they may share.
        storage_ratio: Bytes of one weight record over bytes of the tensors in it.
    """

    file_bytes: int = 2 << 30
    entries: int = 16_384
    program_bytes: int = 32 << 20
    string_length: int = 1 << 20
    list_length: int = 65_536
    nodes: int = 16_384
    fields: int = 250_000
    values_per_output: int = 4
    arguments: int = 64
    rank: int = 8
    extent: int = (1 << 31) - 1
    elements: int = 1 << 33
    logical_ratio: int = 2
    storage_ratio: int = 4


DEFAULT_LIMITS = Limits()
