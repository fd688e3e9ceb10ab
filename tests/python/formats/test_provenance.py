"""What is told of where a node comes from, and what is not."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from smidgen.errors import InvalidModelError, SmidgenError, UnsupportedOperatorError
from smidgen.formats.pt2 import read_pt2
from smidgen.formats.pt2.provenance import MOST_SOURCE, module_path, source_line
from tests.python.formats.pt2_files import Pt2File, export


class Spectrum(nn.Module):
    """Has an operator that is not supported, in a line of its own."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.special.i0(x)


class Pair(nn.Module):
    """Has the same and another one."""

    def __init__(self) -> None:
        super().__init__()
        self.parts = nn.Sequential(nn.ReLU(), Spectrum(), nn.RReLU())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.parts(x)


def line_of(text: str) -> int:
    source = Path(__file__).read_text().splitlines()
    return next(number for number, line in enumerate(source, 1) if text in line)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Pt2File:
    path = tmp_path_factory.mktemp("models") / "m.pt2"
    return Pt2File.read(export(path, Pair().eval(), torch.zeros(2, 4)))


def refusal_of(file: Pt2File, path: Path) -> str:
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_pt2(file.write(path))
    return caught.value.message


def test_all_are_told_with_module_and_line(file: Pt2File, tmp_path: Path) -> None:
    message = refusal_of(file, tmp_path / "m.pt2")
    own, call = line_of("return torch.special.i0(x)"), line_of("return self.parts(x)")
    assert (
        "aten.special_i0.default at special_i0 in parts.1 "
        f"(test_provenance.py:{own} in forward); "
        "aten.rrelu.default at rrelu in parts.2 "
        f"(test_provenance.py:{call} in forward)"
    ) in message
    assert str(Path(__file__).parent) not in message


def test_a_file_without_metadata_is_told_without_lines(file: Pt2File, tmp_path: Path) -> None:
    def forget(document: dict) -> None:  # type: ignore[type-arg]
        for node in document["graph_module"]["graph"]["nodes"]:
            node["metadata"] = {}

    message = refusal_of(file.edited(forget), tmp_path / "m.pt2")
    assert "aten.special_i0.default at special_i0; aten.rrelu.default at rrelu." in message


@pytest.mark.parametrize(
    ("trace", "expected"),
    [
        ('File "/home/me/net.py", line 12, in forward\n  y = f(x)', "net.py:12 in forward"),
        ('File "C:\\nets\\net.py", line 3, in f', "net.py:3 in f"),
        (
            'File "/a.py", line 1, in f\n  File "/x/torch/nn/functional.py", line 9, in relu',
            "a.py:1 in f",
        ),
        ('File "/x/torch/nn/functional.py", line 9, in relu', "functional.py:9 in relu"),
        ('File "a.py", line 1, in f\nFile "b.py", line 2, in g', "b.py:2 in g"),
        ("", ""),
        ("no frame at all", ""),
        ('File "/a.py", line 1, in f\nFile "<eval_with_key>.5", line 9, in forward', "a.py:1 in f"),
        ('File "<eval_with_key>.5", line 9, in forward', ""),
        ('File "/a.py", line 123456789, in f', ""),
        ('File "/a\x1b[31m\x00.py", line 1, in \u202ef', "a[31m.py:1 in f"),
    ],
)
def test_source_line(trace: str, expected: str) -> None:
    assert source_line({"stack_trace": trace}) == expected


def test_long_names_are_cut() -> None:
    shown = source_line({"stack_trace": f'File "/{"n" * 500}.py", line 1, in f'})
    assert shown == "n" * MOST_SOURCE


def test_of_a_long_trace_the_end_is_looked_at() -> None:
    frames = 'File "/outer.py", line 1, in f\n' * 30_000
    trace = f'{frames}File "/inner.py", line 2, in g'
    assert source_line({"stack_trace": trace}) == "inner.py:2 in g"


@pytest.mark.parametrize(
    ("stack", "expected"),
    [
        ("L__self__,,Net;L__self__a,a.0,Conv2d", "a.0"),
        ("L__self__,,Net", ""),
        ("x", ""),
        ("a,b c\x1b,d", ""),
        ("", ""),
    ],
)
def test_module_path(stack: str, expected: str) -> None:
    assert module_path({"nn_module_stack": stack}) == expected


def _refused(module: nn.Module, path: Path) -> SmidgenError:
    shapes = ({0: torch.export.Dim("batch", min=1, max=8)},)
    program = torch.export.export(module.eval(), (torch.rand(2, 3, 4),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    with pytest.raises((InvalidModelError, UnsupportedOperatorError)) as caught:
        read_pt2(path)
    assert isinstance(caught.value, SmidgenError)
    return caught.value


class TimesBatchSize(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.shape[0]


def test_a_product_with_the_batch_size_is_refused_with_its_line(tmp_path: Path) -> None:
    refusal = _refused(TimesBatchSize(), tmp_path / "m.pt2")
    line = line_of("return x * x.shape[0]")
    assert refusal.reason == "UNSUPPORTED_OPERATOR"
    assert (
        "aten.mul.Tensor (its argument 'other' is the batch size, expected Tensor | Scalar: no "
        "result may depend on how many samples there are) at mul "
        f"(test_provenance.py:{line} in forward)"
    ) in refusal.message


class ShortIntegers(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + torch.arange(4, dtype=torch.int16)


class NumberOfInputs(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * x.sum().item()


class SamplesLast(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(1, 2, 0)


class OfNothing(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.ones(3, 4)


@pytest.mark.parametrize(
    ("module", "reason", "text"),
    [
        (ShortIntegers(), "PT2_UNSUPPORTED_DTYPE", "dtype=torch.int16)"),
        (NumberOfInputs(), "PT2_UNSUPPORTED_SIGNATURE", "x.sum().item()"),
        (SamplesLast(), "PT2_UNSUPPORTED_SIGNATURE", "x.permute(1, 2, 0)"),
        (OfNothing(), "PT2_UNSUPPORTED_SIGNATURE", "torch.ones(3, 4)"),
    ],
)
def test_refusals_with_a_reason_of_the_format_tell_the_line(
    module: nn.Module, reason: str, text: str, tmp_path: Path
) -> None:
    refusal = _refused(module, tmp_path / "m.pt2")
    source = f"test_provenance.py:{line_of(text)} in forward"
    assert refusal.reason == reason
    assert refusal.message.endswith(f". It comes from {source}.")
    assert refusal.metadata["source"] == source


def test_an_argument_that_fits_no_schema_is_refused_with_its_line(
    file: Pt2File, tmp_path: Path
) -> None:
    def damage(document: dict) -> None:  # type: ignore[type-arg]
        relu = document["graph_module"]["graph"]["nodes"][0]
        relu["inputs"].append({"name": "novelty", "arg": {"as_int": 1}, "kind": 1})
        document["graph_module"]["graph"]["nodes"] = [relu]
        document["graph_module"]["graph"]["outputs"] = relu["outputs"]
        spec = document["graph_module"]["signature"]["output_specs"][0]
        spec["user_output"]["arg"] = relu["outputs"][0]

    with pytest.raises(InvalidModelError) as caught:
        read_pt2(file.edited(damage).write(tmp_path / "m.pt2"))
    assert caught.value.reason == "PT2_BAD_ARGUMENT"
    call = line_of("return self.parts(x)")
    assert caught.value.metadata["source"] == f"test_provenance.py:{call} in forward"


@pytest.mark.parametrize("key", ["target", "outputs", "inputs"])
def test_a_node_that_fits_no_schema_is_refused_with_its_line(
    key: str, file: Pt2File, tmp_path: Path
) -> None:
    def damage(document: dict) -> None:  # type: ignore[type-arg]
        document["graph_module"]["graph"]["nodes"][0][key] = 7

    with pytest.raises(InvalidModelError) as caught:
        read_pt2(file.edited(damage).write(tmp_path / "m.pt2"))
    assert caught.value.reason == "PT2_BAD_SCHEMA"
    source = f"test_provenance.py:{line_of('return self.parts(x)')} in forward"
    assert caught.value.metadata["source"] == source
    assert f"at graph_module.graph.nodes.0.{key}: found int" in caught.value.message
    assert caught.value.message.endswith(f"It comes from {source}.")


@pytest.mark.parametrize("metadata", [None, 3, {}, {"stack_trace": 1}, {"stack_trace": "x"}])
def test_what_fits_no_schema_and_has_no_line_is_refused_without_one(
    metadata: object, file: Pt2File, tmp_path: Path
) -> None:
    def damage(document: dict) -> None:  # type: ignore[type-arg]
        document["graph_module"]["graph"]["nodes"][0].update(target=7, metadata=metadata)

    with pytest.raises(InvalidModelError) as caught:
        read_pt2(file.edited(damage).write(tmp_path / "m.pt2"))
    assert caught.value.reason == "PT2_BAD_SCHEMA"
    assert "source" not in caught.value.metadata


class WritesThroughView(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        z = x * 2
        y = z[:, :1]
        y.add_(1)
        return z


def test_writing_through_a_view_tells_the_write_and_what_to_write_instead(tmp_path: Path) -> None:
    refusal = _refused(WritesThroughView(), tmp_path / "m.pt2")
    line = line_of("    y.add_(1)")
    assert refusal.reason == "UNSUPPORTED_OPERATOR"
    assert (
        "(its use of 'mul', a view of memory that 'add_' "
        f"(test_provenance.py:{line} in forward) has written to: writing through a "
        "view is not supported, so call the operator without the underscore and use its result, "
        "y = y.add(1) for y.add_(1), and put a tensor of which a part changes together with "
        "torch.cat or torch.where) at mul"
    ) in refusal.message


class Choice(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        positive = x.mean() > 0
        return torch.cond(positive, torch.relu, torch.neg, (x,))


def test_a_choice_by_values_is_refused_with_its_line_and_not_one_of_generated_code(
    tmp_path: Path,
) -> None:
    message = _refused(Choice(), tmp_path / "m.pt2").message
    line = line_of("return torch.cond(")
    assert "eval_with_key" not in message
    assert (
        "higher_order.cond (a choice or a loop that the values decide: compute both branches and "
        "choose with torch.where, and write out the steps of a loop) at cond "
        f"(test_provenance.py:{line} in forward)"
    ) in message


def test_a_node_without_a_line_is_told_to_come_after_one(file: Pt2File, tmp_path: Path) -> None:
    def forget(document: dict) -> None:  # type: ignore[type-arg]
        document["graph_module"]["graph"]["nodes"][-1]["metadata"] = {}

    message = refusal_of(file.edited(forget), tmp_path / "m.pt2")
    own = line_of("return torch.special.i0(x)")
    assert f"aten.rrelu.default at rrelu (after test_provenance.py:{own} in forward)" in message
