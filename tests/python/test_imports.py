"""What serves predictions does not import torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import smidgen

TORCH_FREE = (
    "smidgen",
    "smidgen.artifact",
    "smidgen.config",
    "smidgen.conversion",
    "smidgen.data.opening",
    "smidgen.data.serving",
    "smidgen.engine",
    "smidgen.evaluation",
    "smidgen.formats.dataset",
    "smidgen.formats.model_file",
    "smidgen.formats.onnx_import",
    "smidgen.formats.pt2",
    "smidgen.profile",
    "smidgen.profile_file",
    "smidgen.program",
    "smidgen.progress",
    "smidgen.quantized_import",
    "smidgen.report",
    "smidgen.training_data",
    "smidgen.verification",
)


def test_importing_what_infers_does_not_import_torch() -> None:
    code = f"import sys, {', '.join(TORCH_FREE)}; print('torch' in sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert result.stdout.strip() == "False"


def test_the_server_has_no_image_decoder() -> None:
    assert "PIL" not in loaded_with("smidgen_service.server")


def test_the_server_starts_without_what_reads_models() -> None:
    assert not {"smidgen.graph", "smidgen.formats.pt2"} & loaded_with("smidgen_service.server")


def test_the_command_that_serves_imports_nothing_of_the_others() -> None:
    loaded = loaded_with("smidgen.cli")
    assert not {"typer", "rich", "grpc", "numpy", "smidgen.client"} & loaded


def loaded_with(module: str) -> set[str]:
    """Returns all modules that a process has when it has imported one."""
    code = f"import sys, {module}; print(*sys.modules)"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    return set(result.stdout.split())


@pytest.mark.parametrize("name", smidgen.__all__)
def test_every_public_name_exists(name: str) -> None:
    assert getattr(smidgen, name).__name__ == name
    assert name in dir(smidgen)


def test_unknown_names_are_attribute_errors() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = smidgen.nothing  # type: ignore[attr-defined]  # that is the point
