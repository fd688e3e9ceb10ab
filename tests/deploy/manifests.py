"""The files of deploy/, as what a cluster would get of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent.parent
DEPLOY = ROOT / "deploy"
KUBERNETES, KSERVE = DEPLOY / "kubernetes", DEPLOY / "kserve"
BEHIND_PROXY = KUBERNETES / "behind-proxy"

Object = dict[str, Any]
_MERGED_BY = ("name", "mountPath")  # keys by which Kubernetes tells apart the parts of a list


def load(path: Path) -> list[Object]:
    """Returns the documents of a file."""
    return list(yaml.safe_load_all(path.read_text()))


def base() -> list[Object]:
    """Returns what is in deploy/kubernetes."""
    return [
        found
        for path in sorted(KUBERNETES.glob("*.yaml"))
        for found in load(path)
        if found["kind"] != "Kustomization"
    ]


def behind_proxy() -> list[Object]:
    """Returns the same with the patches of deploy/kubernetes/behind-proxy."""
    patches = {}
    for entry in load(BEHIND_PROXY / "kustomization.yaml")[0]["patches"]:
        (patch,) = load(BEHIND_PROXY / entry["path"])
        patches[patch["kind"], patch["metadata"]["name"]] = patch
    objects = base()
    names = {(found["kind"], found["metadata"]["name"]) for found in objects}
    assert patches.keys() <= names
    return [
        merged(found, patches.get((found["kind"], found["metadata"]["name"]), {}))
        for found in objects
    ]


def kserve() -> list[Object]:
    """Returns what is in deploy/kserve."""
    return [found for path in sorted(KSERVE.glob("*.yaml")) for found in load(path)]


def merged(found: Any, patch: Any) -> Any:
    """Returns an object with a strategic merge patch."""
    if isinstance(found, dict) and isinstance(patch, dict):
        result = found | {
            key: merged(found.get(key), value) for key, value in patch.items() if value is not None
        }
        return {key: value for key, value in result.items() if patch.get(key, value) is not None}
    if isinstance(found, list) and isinstance(patch, list) and _key(patch):
        return _merged_list(found, patch, _key(patch))
    return patch


def _key(items: list[Any]) -> str:
    first = items[0] if items and isinstance(items[0], dict) else {}
    return next((key for key in _MERGED_BY if key in first), "")


def _merged_list(found: list[Object], patch: list[Object], key: str) -> list[Object]:
    patches = {item[key]: item for item in patch}
    kept = [
        merged(item, patches.get(item[key], {}))
        for item in found
        if patches.get(item[key], {}).get("$patch") != "delete"
    ]
    there = {item[key] for item in found}
    assert all(item[key] in there for item in patch if "$patch" in item), (
        "deletes what is not there"
    )
    return kept + [item for item in patch if item[key] not in there]


@dataclass(frozen=True)
class Workload:
    """Pods of a kind."""

    name: str
    labels: Mapping[str, str]
    pod: Mapping[str, Any]

    @property
    def server(self) -> Object:
        """The container of the server."""
        (container,) = self.pod["containers"]
        assert isinstance(container, dict)
        return container

    @property
    def containers(self) -> list[Object]:
        """All of them, those before the server's too."""
        return [*self.pod.get("initContainers", ()), *self.pod["containers"]]


def workloads(objects: list[Object]) -> Iterator[Workload]:
    """Yields the deployments among objects."""
    for found in objects:
        if found["kind"] == "Deployment":
            template = found["spec"]["template"]
            yield Workload(
                found["metadata"]["name"], template["metadata"]["labels"], template["spec"]
            )


def runtime() -> Workload:
    """Returns the pods of KServe's runtime, with what the service that uses it says of pods."""
    found = {item["kind"]: item for item in kserve()}
    spec, predictor = (
        found["ServingRuntime"]["spec"],
        found["InferenceService"]["spec"]["predictor"],
    )
    return Workload("kserve", found["ServingRuntime"]["metadata"]["labels"], {**predictor, **spec})
