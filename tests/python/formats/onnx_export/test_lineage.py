"""What an exported program says of where it comes from."""

from __future__ import annotations

import dataclasses

import onnx

import smidgen
from smidgen.formats.onnx_export import export_onnx, read_metadata
from tests.python.program.small_programs import every_step_program

LINEAGE = {"model_sha256": "ab" * 32, "method": "qat", "job": "jobs/7"}


def test_the_file_carries_its_lineage() -> None:
    program = dataclasses.replace(every_step_program(), lineage=LINEAGE)
    data = export_onnx(program, artifact_sha256="cd" * 32).SerializeToString()
    model = onnx.load_model_from_string(data)
    assert (model.producer_name, model.producer_version) == ("smidgen", smidgen.__version__)
    assert [(entry.key, entry.value) for entry in model.metadata_props] == [
        ("smidgen.artifact_sha256", "cd" * 32),
        ("smidgen.kind", "qdq"),
        ("smidgen.lineage.job", "jobs/7"),
        ("smidgen.lineage.method", "qat"),
        ("smidgen.lineage.model_sha256", "ab" * 32),
    ]
    assert read_metadata(model)["lineage.method"] == "qat"


def test_equal_programs_give_equal_bytes_whatever_the_order_of_their_lineage() -> None:
    turned = dict(reversed(LINEAGE.items()))
    first, second = (
        export_onnx(dataclasses.replace(every_step_program(), lineage=lineage))
        for lineage in (LINEAGE, turned)
    )
    assert first.SerializeToString() == second.SerializeToString()


def test_what_is_not_known_is_not_said() -> None:
    program = dataclasses.replace(every_step_program(), lineage={})
    assert read_metadata(export_onnx(program)) == {"kind": "qdq"}


def test_what_others_say_is_left_out() -> None:
    model = export_onnx(every_step_program())
    onnx.helper.set_model_props(model, {"author": "someone", "smidgen.kind": "qdq"})
    assert read_metadata(model) == {"kind": "qdq"}
