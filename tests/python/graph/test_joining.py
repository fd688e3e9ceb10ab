"""Values [N, k, ...] that a file sees as [N * k, ...]."""

from __future__ import annotations

import pytest

from smidgen.graph.arguments import (
    BATCH_SIZE,
    Activation,
    ArgumentError,
    BatchMultiple,
    Joined,
    UnsupportedCase,
    Value,
)
from smidgen.graph.joining import computed_extent, parted, size, view
from smidgen.graph.lowering import Reshaped

PLAIN = Activation(3, (None, 4, 6), 3)
JOINED = Joined(PLAIN)


@pytest.mark.parametrize(
    ("name", "arguments", "shape"),
    [
        ("view.default", {"size": (-1, 6)}, (None, 4, 6)),
        ("reshape.default", {"shape": (BatchMultiple(4), 6)}, (None, 4, 6)),
        ("view.default", {"size": (BatchMultiple(8), -1)}, (None, 8, 3)),
        ("_unsafe_view.default", {"size": (BatchMultiple(2), 2, 6)}, (None, 2, 2, 6)),
        ("flatten.using_ints", {"start_dim": 0, "end_dim": 1}, (None, 4, 6)),
    ],
)
def test_a_view_joins_the_samples_with_what_follows(
    name: str, arguments: dict[str, Value], shape: tuple[int | None, ...]
) -> None:
    assert view(name, {"self": PLAIN, **arguments}) == (Reshaped(PLAIN, shape), True)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ((BATCH_SIZE, 4, 6), (Reshaped(PLAIN, (None, 4, 6)), False)),
        ((BATCH_SIZE, -1), (Reshaped(PLAIN, (None, 24)), False)),
        ((BatchMultiple(4), 2, 3), (Reshaped(PLAIN, (None, 4, 2, 3)), True)),
        ((BatchMultiple(2), -1), (Reshaped(PLAIN, (None, 2, 12)), True)),
    ],
)
def test_joined_samples_are_parted_or_joined_otherwise(
    sizes: tuple[Value, ...], expected: tuple[Reshaped, bool]
) -> None:
    assert view("view.default", {"self": JOINED, "size": sizes}) == expected


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("relu.default", {}),
        ("view.default", {"size": (BATCH_SIZE, 24)}),
        ("view.default", {"size": (-1, 5)}),
        ("view.default", {"size": (-1, -1)}),
        ("view.default", {"size": (-1, 0)}),
        ("view.default", {"size": (24, 6)}),
        ("view.default", {"size": ()}),
        ("view.default", {"size": 6}),
        ("flatten.using_ints", {"start_dim": 1}),
        ("flatten.using_ints", {"start_dim": 0, "end_dim": 0}),
    ],
)
def test_other_calls_join_nothing(name: str, arguments: dict[str, Value]) -> None:
    assert view(name, {"self": PLAIN, **arguments}) is None


def test_values_without_a_dynamic_batch_have_no_samples_to_join() -> None:
    arguments: dict[str, Value] = {"self": Activation(0, (2, 4, 6), 0), "size": (-1, 6)}
    assert view("view.default", arguments) is None


def test_joined_samples_viewed_with_another_count_are_refused() -> None:
    with pytest.raises(UnsupportedCase, match=r"joined samples \[\?, 4, 6\] viewed otherwise"):
        view("view.default", {"self": JOINED, "size": (BatchMultiple(5), 6)})


def test_axes_are_counted_behind_both_that_are_joined() -> None:
    assert parted("softmax.int", {"self": JOINED, "dim": 1}) == {"self": PLAIN, "dim": 2}
    assert parted("softmax.int", {"self": JOINED, "dim": -1}) == {"self": PLAIN, "dim": 2}
    assert parted("mean.dim", {"self": JOINED, "dim": (1, -1)}) == {"self": PLAIN, "dim": (2, 2)}
    image = Joined(Activation(3, (None, 4, 6, 5), 3))
    permuted = parted("permute.default", {"self": image, "dims": (0, -1, 1)})
    assert permuted == {"self": image.value, "dims": (0, 1, 3, 2)}


def test_what_works_on_elements_reads_the_value_as_it_is() -> None:
    assert parted("add.Tensor", {"self": JOINED, "other": 2.0}) == {"self": PLAIN, "other": 2.0}


@pytest.mark.parametrize(
    ("name", "arguments", "message"),
    [
        ("conv2d.default", {"self": JOINED}, "joined with another axis"),
        ("add.Tensor", {"self": JOINED, "other": Joined(Activation(1, (None, 2, 6), 1))},
         "joined with different axes"),
        ("add.Tensor", {"self": JOINED, "other": PLAIN}, "joined with different axes"),
        ("softmax.int", {"self": JOINED, "dim": 0}, "an axis of the samples"),
        ("mean.dim", {"self": JOINED, "dim": None}, "over all axes"),
        ("permute.default", {"self": JOINED, "dims": (1, 0)}, "before the dynamic batch"),
        ("permute.default", {"self": JOINED, "dims": 1}, "before the dynamic batch"),
    ],
)  # fmt: skip
def test_what_may_mix_samples_is_refused(
    name: str, arguments: dict[str, Value], message: str
) -> None:
    with pytest.raises(UnsupportedCase, match=message):
        parted(name, arguments)


def test_extents_are_those_that_the_file_sees() -> None:
    assert size(JOINED, 0) == BatchMultiple(4)
    assert size(JOINED, 1) == 6
    assert size(JOINED, -1) == 6
    assert size(JOINED, -2) == BatchMultiple(4)
    for axis in (2, -3):
        with pytest.raises(ArgumentError, match=f"it uses axis {axis} of 2"):
            size(JOINED, axis)


@pytest.mark.parametrize(
    ("function", "numbers", "expected"),
    [
        ("mul", (3, 4), 12),
        ("floordiv", (-7, 2), -4),
        ("add", (3, 4), 7),
        ("sub", (3, 4), -1),
        ("mul", (BATCH_SIZE, 4), BatchMultiple(4)),
        ("mul", (4, BATCH_SIZE), BatchMultiple(4)),
        ("mul", (BatchMultiple(4), 3), BatchMultiple(12)),
        ("mul", (BATCH_SIZE, 1), BATCH_SIZE),
        ("floordiv", (BatchMultiple(12), 3), BatchMultiple(4)),
        ("floordiv", (BatchMultiple(4), 4), BATCH_SIZE),
        ("floordiv", (BatchMultiple(4), BATCH_SIZE), 4),
        ("floordiv", (BATCH_SIZE, BATCH_SIZE), 1),
    ],
)
def test_arithmetic_of_extents(function: str, numbers: tuple[Value, ...], expected: Value) -> None:
    assert computed_extent(function, numbers) == expected


@pytest.mark.parametrize(
    ("function", "numbers"),
    [
        ("mul", (1,)),
        ("floordiv", (1, 0)),
        ("mul", (BATCH_SIZE, BATCH_SIZE)),
        ("mul", (BATCH_SIZE, 0)),
        ("mul", (BATCH_SIZE, -2)),
        ("add", (BATCH_SIZE, 1)),
        ("sub", (BatchMultiple(4), BATCH_SIZE)),
        ("floordiv", (BatchMultiple(4), 3)),
        ("floordiv", (4, BATCH_SIZE)),
        ("mul", (BATCH_SIZE, 2.0)),
    ],
)
def test_what_is_no_multiple_of_the_batch_is_refused(
    function: str, numbers: tuple[Value, ...]
) -> None:
    with pytest.raises(UnsupportedCase, match="arithmetic of"):
        computed_extent(function, numbers)
