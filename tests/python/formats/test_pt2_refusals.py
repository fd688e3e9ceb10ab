"""What the reader of .pt2 files lets pass, its limits, and foreign operators."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smidgen.errors import InvalidModelError, UnsupportedOperatorError
from smidgen.formats.pt2 import DEFAULT_LIMITS, Limits, read_pt2
from smidgen.graph.build import build_graph
from tests.python.formats.corpus.pt2_models import good_file, node
from tests.python.formats.pt2_files import Pt2File


@pytest.fixture(scope="module")
def good() -> Pt2File:
    return good_file()


def test_the_good_file_is_read_after_rewriting(good: Pt2File, tmp_path: Path) -> None:
    model = read_pt2(good.write(tmp_path / "m.pt2"))
    assert model.inputs[0].shape == (None, 3, 6, 6)
    assert len(model.sha256) == 64


@pytest.mark.parametrize(
    "limits",
    [
        Limits(program_bytes=100),
        Limits(nodes=2),
        Limits(string_length=10),
        Limits(entries=3),
        Limits(file_bytes=1000),
        Limits(elements=10),
        Limits(extent=2),
        Limits(rank=3),
        Limits(list_length=2),
        Limits(arguments=2),
    ],
)
def test_limits_hold(limits: Limits, good: Pt2File, tmp_path: Path) -> None:
    path = good.write(tmp_path / "m.pt2")
    with pytest.raises(InvalidModelError):
        read_pt2(path, limits=limits)
    assert read_pt2(path, limits=DEFAULT_LIMITS).parameter_count == 4 * 27 + 4 + 8 + 10


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.system",
        "os.system",
        "builtins.eval",
        "torch.ops.higher_order.cond",
        "torch.ops.aten.relu",
        "torch.ops.custom.relu.default",
        "_operator.add",
        "#ns:op",
    ],
)
def test_foreign_target_is_unsupported(target: str, good: Pt2File, tmp_path: Path) -> None:
    path = node("relu.default", lambda n: n.update(target=target))(good).write(tmp_path / "m.pt2")
    with pytest.raises(UnsupportedOperatorError) as refusal:
        read_pt2(path)
    assert refusal.value.metadata["node"] == "relu"


def test_later_minors_may_have_more_keys(good: Pt2File, tmp_path: Path) -> None:
    def edit(document: Any) -> None:
        document["schema_version"]["minor"] = 21
        document["novelty"] = 1
        document["graph_module"]["graph"]["nodes"][0]["novelty"] = {}

    assert read_pt2(good.edited(edit).write(tmp_path / "m.pt2")).nodes


def test_forms_behind_an_unsupported_operator_are_named_too(tmp_path: Path) -> None:
    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = torch.erfinv(x.transpose(0, 1)).softmax(1).transpose(0, 1)
            return torch.lgamma(y).mean(0)

    path = tmp_path / "net.pt2"
    shapes = ({0: torch.export.Dim("batch", min=1, max=8)},)
    program = torch.export.export(Net().eval(), (torch.rand(2, 3, 4),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    with pytest.raises(UnsupportedOperatorError) as caught:
        read_pt2(path)
    message = caught.value.message
    assert "aten.erfinv.default at erfinv (test_pt2_refusals.py:" in message
    assert "aten.softmax.int (an axis of the samples) at softmax (" in message
    assert "aten.lgamma.default at lgamma (" in message
    assert "aten.mean.dim (a reduction over the samples) at mean (" in message


class _Written(nn.Module):
    """Writes to a value of which another arrangement is used afterwards."""

    def __init__(self, arrange: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.arrange = arrange

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = x + x
        z = self.arrange(y)
        y.relu_()
        return y + z.sigmoid().reshape(3, -1, 4).transpose(0, 1)


def _export_written(
    arrange: Callable[[torch.Tensor], torch.Tensor], path: Path
) -> tuple[nn.Module, Path]:
    shapes = ({0: torch.export.Dim("batch", min=2, max=8)},)
    module = _Written(arrange).eval()
    program = torch.export.export(module, (torch.randn(2, 3, 4),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return module, path


@pytest.mark.parametrize(
    "arrange",
    [
        lambda y: y.transpose(0, 1).contiguous(),
        lambda y: y.transpose(0, 1).reshape(-1, 4),
        lambda y: y.transpose(0, 1).contiguous().transpose(0, 1).contiguous().transpose(0, 1),
    ],
)
def test_what_may_be_a_copy_of_written_memory_is_refused(
    arrange: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path
) -> None:
    _, path = _export_written(arrange, tmp_path / "m.pt2")
    with pytest.raises(UnsupportedOperatorError, match=r"a (copy|view) of memory"):
        read_pt2(path)


def test_another_arrangement_of_written_memory_is_what_was_written(tmp_path: Path) -> None:
    module, path = _export_written(lambda y: y.transpose(0, 1), tmp_path / "m.pt2")
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(build_graph(read_pt2(path))(x), module(x))


def _kept_beside_a_written_copy(x: torch.Tensor) -> torch.Tensor:
    turned = (x + x).transpose(1, 2)
    turned.contiguous().relu_()
    return turned + 0


def _copy_of_what_was_written(x: torch.Tensor) -> torch.Tensor:
    turned = (x + x).transpose(1, 2)
    copied = turned.contiguous()
    turned.relu_()
    return copied + 0


def _copy_in_another_format(x: torch.Tensor) -> torch.Tensor:
    value = (x + x).unsqueeze(-1)
    value.to(memory_format=torch.channels_last).relu_()
    return value + 0


def _copy_reshaped_back(x: torch.Tensor) -> torch.Tensor:
    turned = (x + x).transpose(1, 2)
    turned.reshape(-1, 12).view(-1, 4, 3).relu_()
    return turned + 0


def _joined_copy(x: torch.Tensor) -> torch.Tensor:
    turned = (x + x).transpose(1, 2)
    rows = turned.flatten(0, 1)
    turned.relu_()
    return rows.view(-1, 4, 3) + 0


def _whole_of_a_written_part(x: torch.Tensor) -> torch.Tensor:
    whole = x + x
    whole.split(2, 1)[0].relu_()
    return whole + 0


def _part_of_a_written_whole(x: torch.Tensor) -> torch.Tensor:
    whole = x + x
    first, _ = whole.chunk(2, 2)
    whole.relu_()
    return first + 0


def _element_of_a_written_whole(x: torch.Tensor) -> torch.Tensor:
    whole = x + x
    first, *_ = whole.unbind(1)
    whole.relu_()
    return first + 0


def _part_of_a_part_of_a_written_whole(x: torch.Tensor) -> torch.Tensor:
    whole = x + x
    first, _ = whole.chunk(2, 2)[0].chunk(2, 2)
    whole.relu_()
    return first + 0


class _Function(nn.Module):
    def __init__(self, function: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.function(x)


def _export_function(function: Callable[[torch.Tensor], torch.Tensor], path: Path) -> Path:
    shapes = ({0: torch.export.Dim("batch", min=2, max=8)},)
    module = _Function(function).eval()
    program = torch.export.export(module, (torch.randn(2, 3, 4),), dynamic_shapes=shapes)
    torch.export.save(program, path)
    return path


@pytest.mark.parametrize(
    "function",
    [
        _kept_beside_a_written_copy,
        _copy_of_what_was_written,
        _copy_in_another_format,
        _copy_reshaped_back,
        _joined_copy,
        _whole_of_a_written_part,
        _part_of_a_written_whole,
        _element_of_a_written_whole,
        _part_of_a_part_of_a_written_whole,
    ],
)
def test_copies_and_parts_of_written_memory_are_refused(
    function: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path
) -> None:
    path = _export_function(function, tmp_path / "m.pt2")
    with pytest.raises(
        UnsupportedOperatorError, match=r"a view of memory that 'relu_' \(.*\) has written"
    ):
        read_pt2(path)


def _written_copy(x: torch.Tensor) -> torch.Tensor:
    turned = (x + x).transpose(1, 2).contiguous()
    turned.relu_()
    flat = turned.reshape(-1, 12)
    flat.sub_(1)
    return flat * 2


def _written_part_beside_another(x: torch.Tensor) -> torch.Tensor:
    first, second = (x + x).chunk(2, 2)
    first.relu_()
    second.mul_(first)
    return first + second


@pytest.mark.parametrize("function", [_written_copy, _written_part_beside_another])
def test_copies_and_parts_that_are_written_themselves_are_what_was_written(
    function: Callable[[torch.Tensor], torch.Tensor], tmp_path: Path
) -> None:
    path = _export_function(function, tmp_path / "m.pt2")
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(build_graph(read_pt2(path))(x.clone()), function(x))


def test_a_number_for_each_sample_becomes_a_row(tmp_path: Path) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2)).unsqueeze(1)

    path = _export_function(function, tmp_path / "m.pt2")
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(build_graph(read_pt2(path))(x), function(x))


def test_a_colon_takes_all_samples_behind_another_axis(tmp_path: Path) -> None:
    def function(x: torch.Tensor) -> torch.Tensor:
        return x.transpose(0, 1)[1:, :, :2].mean(0)

    path = _export_function(function, tmp_path / "m.pt2")
    x = torch.randn(5, 3, 4, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(build_graph(read_pt2(path))(x), function(x))
