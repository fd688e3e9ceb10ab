"""Encoders in the manner of BERT from the exported file to the integer program."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen import pipeline
from smidgen.calibration import calibrate
from smidgen.config import Activations
from smidgen.convert import convert_graph
from smidgen.engine import Engine, available_isas
from smidgen.errors import InvalidDatasetError, InvalidTensorError
from smidgen.float_model import FloatModel, load_model
from smidgen.formats.dataset import Dataset
from smidgen.passes import fuse_for_inference
from smidgen.program import (
    Attention,
    DType,
    DynamicLinear,
    Embedding,
    Linear,
    Program,
    Softmax,
    interpret,
)
from smidgen.qat.prepare import finish_qat, prepare_qat
from smidgen.verification import random_samples
from tests.python.graph.transformers import (
    INPUTS,
    TOKENS,
    WORDS,
    Encoder,
    export_encoder,
    token_arrays,
)


@pytest.fixture(scope="module", params=[False, True], ids=["one operator", "written out"])
def written_out(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


@pytest.fixture(scope="module")
def model(written_out: bool, tmp_path_factory: pytest.TempPathFactory) -> FloatModel:
    path = tmp_path_factory.mktemp("encoder") / "encoder.pt2"
    return load_model(export_encoder(path, written_out=written_out))


@pytest.fixture(scope="module")
def program(model: FloatModel) -> Program:
    return convert(model)


def convert(model: FloatModel) -> Program:
    profile = calibrate(model, [token_arrays(16, seed) for seed in range(4)])
    return convert_graph(
        fuse_for_inference(model.graph),
        profile.ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )


def test_the_imported_graph_computes_what_the_model_does(
    model: FloatModel, written_out: bool
) -> None:
    torch.manual_seed(0)
    original = Encoder(written_out=written_out).eval()
    inputs = [torch.from_numpy(array) for array in token_arrays(5, 9).values()]
    with torch.no_grad():
        for found, expected in zip(model.graph(*inputs), original(*inputs), strict=True):
            torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_inputs_are_integers_of_which_ids_are_bounded(model: FloatModel) -> None:
    specs = model.exported.inputs
    assert [(spec.name, spec.dtype, spec.shape) for spec in specs] == [
        (name, "int64", (None, TOKENS)) for name in INPUTS
    ]
    assert [spec.index_count for spec in specs] == [WORDS, None, 2]


def test_products_are_integers_and_the_residual_stream_is_float(program: Program) -> None:
    kinds = [type(step) for step in program.steps]
    assert kinds.count(Attention) == 2
    assert kinds.count(Embedding) == 2
    assert Softmax not in kinds
    layers = [step for step in program.steps if isinstance(step, Linear)]
    outputs = [program.tensor(step.output).dtype for step in layers]
    one_layer = [DType.UINT8] * 3 + [DType.FLOAT32, DType.UINT8, DType.FLOAT32]
    assert outputs == [*one_layer, *one_layer, DType.UINT8]


def test_the_program_is_close_to_the_model(model: FloatModel, program: Program) -> None:
    arrays = token_arrays(8, 7)
    with torch.no_grad():
        expected = model.graph(*map(torch.from_numpy, arrays.values()))
    values = interpret(program, arrays)
    for name, signal in zip(program.outputs, expected, strict=True):
        noise = values[name] - signal.numpy()
        assert noise.std() < 0.03 * float(signal.std())


@pytest.mark.parametrize("isa", available_isas())
@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_engine_equals_the_interpreter(program: Program, isa: str, threads: int) -> None:
    arrays = token_arrays(3, 4)
    expected = interpret(program, arrays)
    found = Engine(program, isa=isa, threads=threads).run_all(arrays)
    for name, values in found.items():
        np.testing.assert_array_equal(values, expected[name], err_msg=name)


def test_conversion_reports_what_it_found(model: FloatModel) -> None:
    profile = calibrate(model, [token_arrays(16, seed) for seed in range(4)])
    conversion = pipeline.convert(model, profile, evaluation=Dataset(token_arrays(8, 1), 8))
    report = conversion.report
    assert report.parity is not None
    assert report.parity.max_difference == 0
    fake = report.parity.fake_quantized
    assert fake is not None
    assert fake.layers.max_lsb <= 1
    attention = [node for node in report.nodes if node.op == "scaled_dot_product_attention"]
    assert all(node.sqnr_db is None or node.sqnr_db > 20 for node in attention)
    residuals = [node for node in report.nodes if node.op == "layer_norm"]
    assert {node.reason for node in residuals} == {"FLOAT"}


def test_layers_with_dynamic_activations_follow_the_rows(model: FloatModel) -> None:
    profile = calibrate(model, [token_arrays(16, seed) for seed in range(4)])
    conversion = pipeline.convert(model, profile, activations=Activations.DYNAMIC)
    dynamic = conversion.program
    layers = [step for step in dynamic.steps if isinstance(step, DynamicLinear)]
    assert len(layers) == 13
    assert not [step for step in dynamic.steps if isinstance(step, Linear)]
    linear = [node for node in conversion.report.nodes if node.op == "linear"]
    assert all(node.is_quantized and node.quantized_bytes < node.float_bytes for node in linear)
    arrays = token_arrays(8, 7)
    with torch.no_grad():
        expected = model.graph(*map(torch.from_numpy, arrays.values()))
    values = interpret(dynamic, arrays)
    found = Engine(dynamic).run(arrays)
    for name, signal in zip(dynamic.outputs, expected, strict=True):
        np.testing.assert_array_equal(found[name], values[name])
        assert (values[name] - signal.numpy()).std() < 0.02 * float(signal.std())


def test_masked_tokens_change_nothing(program: Program) -> None:
    arrays = token_arrays(4, 3)
    arrays["attention_mask"][:, 5:] = 0
    other = {**arrays, "input_ids": arrays["input_ids"].copy()}
    other["input_ids"][:, 5:] = 1
    name = program.outputs[0]
    before, after = interpret(program, arrays)[name], interpret(program, other)[name]
    np.testing.assert_array_equal(before[:, :5], after[:, :5])


def test_random_samples_are_valid_ids(program: Program) -> None:
    samples = random_samples(program, 64)
    assert samples["input_ids"].dtype == np.int64
    assert samples["input_ids"].max() == WORDS - 1
    assert set(np.unique(samples["attention_mask"])) == {0, 1}


def test_ids_beyond_the_table_are_refused(model: FloatModel) -> None:
    arrays = token_arrays(4)
    arrays["input_ids"][2, 1] = WORDS
    with pytest.raises(InvalidTensorError, match="expected 0 to 49") as refused:
        calibrate(model, [arrays])
    assert refused.value.reason == "INDEX_OUT_OF_RANGE"
    dataset = Dataset(arrays, 4)
    with pytest.raises(InvalidDatasetError, match="expected 0 to 49") as refused_dataset:
        dataset.inputs_for(model.exported.inputs)
    assert refused_dataset.value.reason == "DATASET_INDEX_OUT_OF_RANGE"


def test_integers_of_other_widths_serve_as_ids(model: FloatModel) -> None:
    narrow = {name: array.astype(np.int32) for name, array in token_arrays(4).items()}
    inputs = Dataset(narrow, 4).inputs_for(model.exported.inputs)
    assert {array.dtype for array in inputs.values()} == {np.dtype(np.int64)}
    floats = {name: array.astype(np.float32) for name, array in narrow.items()}
    with pytest.raises(InvalidDatasetError, match="type float32, expected int64"):
        Dataset(floats, 4).inputs_for(model.exported.inputs)


def test_training_simulates_the_program_and_changes_every_weight(model: FloatModel) -> None:
    profile = calibrate(model, [token_arrays(16, seed) for seed in range(4)])
    prepared = prepare_qat(model.graph, profile.ranges).eval()
    arrays = token_arrays(8, 5)
    inputs = [torch.from_numpy(array) for array in arrays.values()]
    values = interpret(convert(model), arrays)
    with torch.no_grad():
        simulated = prepared(*inputs)
    for found, name in zip(simulated, model.exported.outputs, strict=True):
        expected = values[name.name]
        assert np.abs(found.numpy() - expected).std() < 0.02 * expected.std()
    before = {name: weight.detach().clone() for name, weight in prepared.named_parameters()}
    optimizer = torch.optim.SGD(prepared.parameters(), lr=0.1)
    prepared.train()
    features, summary = prepared(*inputs)
    (features.square().mean() + summary.sum()).backward()
    optimizer.step()
    unchanged = {
        name
        for name, weight in prepared.named_parameters()
        if torch.equal(weight, before[name]) and not name.endswith("key.bias")
    }
    # A softmax does not see the biases of keys; rounding leaves them a tiny gradient or none.
    assert len(unchanged) <= 2
    graph, ranges = finish_qat(prepared.eval())
    trained = convert_graph(
        graph, ranges, inputs=model.exported.inputs, outputs=model.exported.outputs
    )
    assert [type(step) for step in trained.steps] == [type(s) for s in convert(model).steps]


def test_an_encoder_of_hugging_face_is_imported_and_runs() -> None:
    folder = Path(__file__).parent.parent / "data"
    recorded = dict(np.load(folder / "bert.npz"))
    model = load_model(folder / "bert.pt2")
    arrays = {spec.name: recorded[spec.name] for spec in model.exported.inputs}
    names = [spec.name for spec in model.exported.outputs]
    assert names == ["last_hidden_state", "pooler_output"]
    with torch.no_grad():
        found = model.graph(*map(torch.from_numpy, arrays.values()))
    for name, values in zip(names, found, strict=True):
        np.testing.assert_allclose(values.numpy(), recorded[name], rtol=1e-4, atol=1e-5)
    program = convert_graph(
        fuse_for_inference(model.graph),
        calibrate(model, [arrays]).ranges,
        inputs=model.exported.inputs,
        outputs=model.exported.outputs,
    )
    assert sum(isinstance(step, Attention) for step in program.steps) == 1
    quantized = Engine(program).run(arrays)
    for name in names:
        noise = quantized[name] - recorded[name]
        assert noise.std() < 0.03 * recorded[name].std()
