"""torch's own attention modules from the exported file to the integer program."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from smidgen.calibration import calibrate
from smidgen.convert import convert_graph
from smidgen.engine import Engine
from smidgen.float_model import FloatModel, load_model
from smidgen.passes import fuse_for_inference
from smidgen.program import Attention, Program, interpret
from smidgen.qat.prepare import finish_qat, prepare_qat
from tests.python.graph.torch_attention import CASES, Case, export, network

FILES = [
    *((name, ".pt2") for name in CASES), ("encoder", ".onnx"), ("sequence first", ".onnx"),
]  # fmt: skip
"""The networks that are exported, and the formats."""


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], FloatModel]:
    folder = tmp_path_factory.mktemp("attention")
    return {
        (name, suffix): load_model(
            export(network(case), case.inputs(2), folder / f"{name}{suffix}")
        )
        for name, suffix in FILES
        for case in (CASES[name],)
    }


def _arrays(case: Case, model: FloatModel, count: int) -> dict[str, NDArray[np.generic]]:
    inputs = [tensor.numpy() for tensor in case.inputs(count)]
    return {spec.name: array for spec, array in zip(model.exported.inputs, inputs, strict=True)}


def _program(model: FloatModel, case: Case) -> Program:
    torch.manual_seed(1)
    profile = calibrate(model, [_arrays(case, model, 16) for _ in range(2)])
    return convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )


@pytest.mark.parametrize(("name", "suffix"), FILES)
def test_a_network_is_imported_and_its_program_is_exact(
    name: str, suffix: str, models: dict[tuple[str, str], FloatModel]
) -> None:
    case, model = CASES[name], models[name, suffix]
    torch.manual_seed(2)
    inputs = case.inputs(7)
    with torch.no_grad():
        expected, found = network(case)(*inputs), model.graph(*inputs)
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)

    program = _program(model, case)
    assert sum(isinstance(step, Attention) for step in program.steps) == case.fused
    arrays = _arrays(case, model, 4)
    values = interpret(program, arrays)
    for output, array in Engine(program).run_all(arrays).items():
        np.testing.assert_array_equal(array, values[output], err_msg=output)


def test_training_takes_a_step_and_what_it_makes_is_exact(
    models: dict[tuple[str, str], FloatModel],
) -> None:
    case, model = CASES["encoder"], models["encoder", ".pt2"]
    torch.manual_seed(3)
    profile = calibrate(model, [_arrays(case, model, 16)])
    prepared = prepare_qat(model.graph, profile.ranges).train()
    before = {name: weight.detach().clone() for name, weight in prepared.named_parameters()}
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.1)
    inputs = case.inputs(8)
    prepared(*inputs).square().mean().backward()
    optimizer.step()
    weights = dict(prepared.named_parameters())
    unchanged = {name for name, weight in weights.items() if torch.equal(weight, before[name])}
    # What scores are masked with is no parameter.
    assert unchanged == {name for name, weight in weights.items() if not weight.requires_grad}
    assert {float(weights[name].detach().min()) for name in unchanged} == {
        0.0, float(np.finfo(np.float32).min),
    }  # fmt: skip

    graph, ranges = finish_qat(prepared.eval())
    program = convert_graph(
        fuse_for_inference(graph), ranges,
        inputs=model.exported.inputs, outputs=model.exported.outputs,
    )  # fmt: skip
    arrays = _arrays(case, model, 4)
    values = interpret(program, arrays)
    for output, array in Engine(program).run_all(arrays).items():
        np.testing.assert_array_equal(array, values[output])
