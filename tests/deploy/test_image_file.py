"""The Dockerfile fits the project and the server, as far as its text says."""

from __future__ import annotations

import re
import tomllib
from typing import Any

import pytest

from smidgen_service.settings import Settings
from tests.deploy.image_file import environment, instructions, stage, stages
from tests.deploy.manifests import ROOT

IMAGES = ("infer", "full")


@pytest.mark.parametrize("image", IMAGES)
def test_an_image_serves_as_nobody_special_and_says_how_it_is_asked_and_stopped(image: str) -> None:
    last = dict(stage(image))
    assert last["USER"] == "1000:1000"
    assert last["STOPSIGNAL"] == "SIGTERM"
    assert last["VOLUME"] == "/data"
    assert last["ENTRYPOINT"] == '["smidgen"]'
    assert last["CMD"] == '["serve"]'
    assert last["HEALTHCHECK"].endswith('CMD ["smidgen", "health"]')
    fields = Settings.model_fields
    assert last["EXPOSE"] == f"{fields['port'].default} {fields['metrics_port'].default}"


@pytest.mark.parametrize("image", IMAGES)
def test_variables_of_an_image_are_settings_or_its_probes(
    image: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    variables = environment(image)
    assert variables["SMIDGEN_SERVER"] == f"127.0.0.1:{Settings.model_fields['port'].default}"
    fields = {f"SMIDGEN_{name.upper()}" for name in Settings.model_fields}
    assert variables.keys() - fields == {"SMIDGEN_SERVER"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ValueError, match="insecure-bind"):
        Settings()
    monkeypatch.setenv("SMIDGEN_INSECURE_BIND", "true")
    assert str(Settings().data_dir) == "/data"


def project() -> dict[str, Any]:
    found: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return found


def test_labels_are_those_of_the_project() -> None:
    (labels,) = (rest for name, rest in stage("infer") if name == "LABEL")
    found = dict(re.findall(r'org\.opencontainers\.image\.([\w.]+)="([^"]*)"', labels))
    assert found["licenses"] == project()["license"]
    assert found["version"] == "${VERSION}"
    arguments = [rest for name, rest in stage("runtime") if name == "ARG"]
    assert f"VERSION={project()['version']}" in arguments
    assert found.keys() >= {"title", "description", "revision", "base.name"}


def test_what_is_copied_is_sent_to_the_builder_and_is_there() -> None:
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in lines
    sent = {line.removeprefix("!") for line in lines if line.startswith("!")}
    wanted = {
        source
        for name, rest in instructions()
        if name == "COPY" and "--from=" not in rest
        for source in rest.split()[:-1]
    } | set(re.findall(r"type=bind,source=([^,]+)", " ".join(rest for _, rest in instructions())))
    assert wanted == sent
    assert all((ROOT / path).exists() for path in sent)


def test_extras_of_the_images_exist() -> None:
    text = " ".join(rest for _, rest in instructions())
    extras = {
        name for group in re.findall(r"\*\.whl\)\[([\w,]+)\]", text) for name in group.split(",")
    }
    assert extras == {"images", "optimize", "otel"}
    assert extras <= project()["optional-dependencies"].keys()


def test_nothing_is_installed_that_the_lock_file_does_not_hold() -> None:
    commands = [rest for name, rest in instructions() if name == "RUN" and " install " in rest]
    for command in commands:
        assert (
            "pip" not in command.split("install")[0] or "--constraint requirements.lock" in command
        )
    assert stages()[-1] == "default"
