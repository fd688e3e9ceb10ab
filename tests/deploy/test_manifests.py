"""The manifests fit their published kinds, each other, and the server that they start."""

from __future__ import annotations

import copy
import re
import shlex
from typing import Any

import pytest
import yaml
from pydantic_settings import CliApp

from smidgen.cli.app import app as command_line
from smidgen_service.settings import Settings
from tests.deploy.image_file import environment, stages
from tests.deploy.manifests import (
    BEHIND_PROXY,
    KUBERNETES,
    ROOT,
    Object,
    Workload,
    base,
    behind_proxy,
    kserve,
    load,
    runtime,
    workloads,
)
from tests.deploy.published_kinds import problems

REFUSING_S = 1.0  # smidgen_service/lifecycle.py: calls are refused for at most a second
VARIANTS = {"base": base, "behind-proxy": behind_proxy}
WORKLOADS = {
    f"{variant}-{workload.name}": workload
    for variant, objects in VARIANTS.items()
    for workload in workloads(objects())
} | {"kserve": runtime()}
OBJECTS = {
    f"{variant}-{found['kind']}-{found['metadata']['name']}": found
    for variant, objects in {**VARIANTS, "kserve": kserve}.items()
    for found in objects()
}

each_workload = pytest.mark.parametrize("workload", WORKLOADS.values(), ids=WORKLOADS)
each_variant = pytest.mark.parametrize("objects", [base(), behind_proxy()], ids=VARIANTS)


@pytest.mark.parametrize("found", OBJECTS.values(), ids=OBJECTS)
def test_an_object_has_nothing_that_its_kind_does_not_know(found: Object) -> None:
    assert problems(found) == []


@pytest.mark.parametrize(
    ("name", "path", "value", "problem"),
    [
        (
            "base-Deployment-smidgen",
            ("spec", "template", "spec", "containers", 0, "livenesProbe"),
            {},
            "Deployment.spec.template.spec.containers[0].livenesProbe: unknown",
        ),
        (
            "base-Deployment-smidgen",
            ("spec", "template", "spec", "terminationGracePeriodSeconds"),
            "30",
            "Deployment.spec.template.spec.terminationGracePeriodSeconds: '30' is no int",
        ),
        (
            "base-Deployment-smidgen",
            ("spec", "selector"),
            None,
            "Deployment.spec.selector: missing",
        ),
        (
            "base-NetworkPolicy-smidgen",
            ("spec", "ingress", 0, "from", 0, "podSelecter"),
            {},
            "NetworkPolicy.spec.ingress[0].from[0].podSelecter: unknown",
        ),
        (
            "base-HorizontalPodAutoscaler-smidgen",
            ("spec", "metrics", 0, "pods", "metric"),
            None,
            "HorizontalPodAutoscaler.spec.metrics[0].pods.metric: missing",
        ),
        (
            "base-ServiceMonitor-smidgen",
            ("spec", "endpoints", 0, "ports"),
            "metrics",
            "ServiceMonitor.spec.endpoints[0].ports: unknown",
        ),
        (
            "base-ServiceMonitor-smidgen",
            ("spec", "selector"),
            None,
            "ServiceMonitor.spec.selector: missing",
        ),
        (
            "kserve-ServingRuntime-smidgen",
            ("spec", "containers", 0, "ports", 0, "port"),
            1,
            "ServingRuntime.spec.containers[0].ports[0].port: unknown",
        ),
        (
            "kserve-ServingRuntime-smidgen",
            ("spec", "containers"),
            None,
            "ServingRuntime.spec.containers: missing",
        ),
        (
            "kserve-InferenceService-digits",
            ("spec", "predictor", "model", "protocolVersion"),
            2,
            "InferenceService.spec.predictor.model.protocolVersion: 2 is no str",
        ),
    ],
)
def test_a_mistake_is_found(
    name: str, path: tuple[str | int, ...], value: object, problem: str
) -> None:
    found = copy.deepcopy(OBJECTS[name])
    inner: Any = found
    for part in path[:-1]:
        inner = inner[part]
    if value is None:
        del inner[path[-1]]
    else:
        inner[path[-1]] = value
    assert problems(found) == [problem]


def flags(workload: Workload) -> list[str]:
    """Returns the settings that the server of a workload is started with."""
    server = workload.server
    words = server["args"]
    if "command" in server:
        assert server["command"] == ["sh", "-ec"]
        (script,) = words
        words = shlex.split(script.rpartition("exec smidgen ")[2])
    assert words[0] == "serve"
    return list(words[1:])


def variables(workload: Workload) -> dict[str, str]:
    """Returns the environment of the server, with that of its image."""
    given = {entry["name"]: entry["value"] for entry in workload.server.get("env", ())}
    return environment() | given


def settings(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Returns the settings as the server would read them."""
    monkeypatch.delenv("SMIDGEN_LAME_DUCK_SECONDS")  # conftest.py shortens it
    for name, value in variables(workload).items():
        monkeypatch.setenv(name, value)
    return CliApp.run(Settings, cli_args=flags(workload))


@each_workload
def test_the_server_takes_its_flags_and_variables(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = settings(workload, monkeypatch)
    assert read.host == "0.0.0.0"
    assert str(read.data_dir) == "/data/store"
    assert (read.tls_cert is not None and read.auth_file is not None) != read.insecure_bind
    fields = {f"SMIDGEN_{name.upper()}" for name in Settings.model_fields}
    known = fields | {"SMIDGEN_SERVER", "SMIDGEN_TLS_CA", "SMIDGEN_TLS_NAME"}
    ours = {name for name in variables(workload) if name.startswith("SMIDGEN_")}
    assert ours <= known


@each_workload
def test_ports_are_those_of_the_server(workload: Workload, monkeypatch: pytest.MonkeyPatch) -> None:
    read = settings(workload, monkeypatch)
    ports = {port["name"]: port["containerPort"] for port in workload.server["ports"]}
    if workload.name == "kserve":
        assert ports == {"h2c": read.port}
        annotations = workload.pod["annotations"]
        assert annotations["prometheus.kserve.io/port"] == str(read.metrics_port)
    else:
        assert ports == {"grpc": read.port, "metrics": read.metrics_port}


@each_workload
def test_a_pod_is_given_the_time_that_a_drain_may_take(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = settings(workload, monkeypatch)
    takes_s = read.lame_duck_seconds + REFUSING_S + read.drain_seconds
    if read.job_workers:
        takes_s += read.cancel_grace_seconds
    assert takes_s < workload.pod["terminationGracePeriodSeconds"]


@each_workload
def test_probes_ask_for_health_in_the_way_that_the_server_answers(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = settings(workload, monkeypatch)
    for name in ("startupProbe", "readinessProbe", "livenessProbe"):
        probe = workload.server[name]
        if read.insecure_bind:
            assert probe["grpc"] == {"port": read.port}
            assert "exec" not in probe
        else:
            command = probe["exec"]["command"]
            assert command[:2] == ["smidgen", "health"]
            timeout_s = 2.0 if len(command) == 2 else float(command[2].partition("=")[2])
            assert timeout_s < probe["timeoutSeconds"]
    # A start that takes long, and one that has ended, must not look like each other.
    startup, liveness = workload.server["startupProbe"], workload.server["livenessProbe"]
    assert startup["periodSeconds"] * startup["failureThreshold"] >= 120
    assert liveness["periodSeconds"] * liveness["failureThreshold"] >= 120


@each_workload
def test_a_pod_may_do_nothing_that_it_need_not(workload: Workload) -> None:
    pod = workload.pod
    assert pod["automountServiceAccountToken"] is False
    # A service called smidgen would set SMIDGEN_PORT to an address.
    assert pod["enableServiceLinks"] is False
    for container in workload.containers:
        context = pod.get("securityContext", {}) | container["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["runAsGroup"] == 1000
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert context["allowPrivilegeEscalation"] is False
        assert context["readOnlyRootFilesystem"] is True
        assert context["capabilities"] == {"drop": ["ALL"]}
        assert container["resources"]["limits"].keys() >= {"memory"}
        writable = {
            mount["mountPath"]
            for mount in container["volumeMounts"]
            if not mount.get("readOnly", False)
        }
        assert writable - {"/backups"} == {"/data", "/tmp"}


@each_workload
def test_images_are_targets_of_the_dockerfile(workload: Workload) -> None:
    expected = "full" if workload.name == "smidgen-optimizer" else "infer"
    assert {container["image"] for container in workload.containers} == {f"smidgen:{expected}"}
    assert expected in stages()


@each_workload
def test_mounts_have_volumes_and_volumes_have_what_they_name(workload: Workload) -> None:
    volumes = {volume["name"]: volume for volume in workload.pod["volumes"]}
    mounted = {
        mount["name"] for container in workload.containers for mount in container["volumeMounts"]
    }
    assert mounted == volumes.keys()
    claims = {
        item["metadata"]["name"] for item in base() if item["kind"] == "PersistentVolumeClaim"
    }
    secrets = secret_files()
    for volume in volumes.values():
        if "persistentVolumeClaim" in volume:
            assert volume["persistentVolumeClaim"]["claimName"] in claims
        if "secret" in volume:
            assert volume["secret"]["secretName"] in secrets


def secret_files() -> dict[str, set[str]]:
    """Returns the names of the files in each secret that kustomize makes."""
    (document,) = load(KUBERNETES / "kustomization.yaml")
    return {
        entry["name"]: {path.rpartition("/")[2] for path in entry["files"]}
        for entry in document["secretGenerator"]
    }


@pytest.mark.parametrize("workload", list(workloads(base())), ids=lambda workload: workload.name)
def test_files_of_tls_and_tokens_are_those_of_the_secrets(
    workload: Workload, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = settings(workload, monkeypatch)
    secrets = secret_files()
    volumes = {volume["name"]: volume for volume in workload.pod["volumes"]}
    there = {
        f"{mount['mountPath']}/{name}"
        for mount in workload.server["volumeMounts"]
        for name in secrets.get(
            volumes[mount["name"]].get("secret", {}).get("secretName", ""), set()
        )
    }
    root = variables(workload)["SMIDGEN_TLS_CA"]
    assert {str(read.tls_cert), str(read.tls_key), str(read.auth_file), root} == there


@each_variant
def test_selectors_choose_the_pods_that_they_mean(objects: list[Object]) -> None:
    pods = {workload.name: workload.labels for workload in workloads(objects)}
    for found in objects:
        spec, name = found["spec"], found["metadata"]["name"]
        match found["kind"]:
            case "Deployment" | "PodDisruptionBudget":
                selector = spec["selector"]["matchLabels"]
            case "Service":
                selector = spec["selector"]
            case "NetworkPolicy":
                selector = spec["podSelector"]["matchLabels"]
                assert all(selector.items() <= labels.items() for labels in pods.values())
                continue
            case "ServiceMonitor":
                services = [item for item in objects if item["kind"] == "Service"]
                labels = [item["metadata"]["labels"] for item in services]
                selector = spec["selector"]["matchLabels"]
                assert all(selector.items() <= chosen.items() for chosen in labels)
                continue
            case _:
                continue
        assert {pod for pod, labels in pods.items() if selector.items() <= labels.items()} == {name}


@each_variant
def test_ports_that_are_named_are_there(objects: list[Object]) -> None:
    pods = {workload.name: workload for workload in workloads(objects)}
    for found in objects:
        if found["kind"] == "Service":
            server = pods[found["metadata"]["name"]].server
            ports = {port["name"]: port["containerPort"] for port in server["ports"]}
            for port in found["spec"]["ports"]:
                assert port["targetPort"] == port["name"]
                assert port["port"] == ports[port["name"]]
        if found["kind"] == "NetworkPolicy":
            named = {port["port"] for rule in found["spec"]["ingress"] for port in rule["ports"]}
            assert named == {"grpc", "metrics"}
        if found["kind"] == "ServiceMonitor":
            assert [endpoint["port"] for endpoint in found["spec"]["endpoints"]] == ["metrics"]


def test_the_autoscaler_goes_by_a_metric_of_the_server_and_by_what_pods_ask_for() -> None:
    (scaler,) = (item["spec"] for item in base() if item["kind"] == "HorizontalPodAutoscaler")
    pods = {workload.name: workload for workload in workloads(base())}
    target = scaler["scaleTargetRef"]
    assert target["kind"] == "Deployment"
    requests = pods[target["name"]].server["resources"]["requests"]
    documented = set(
        re.findall(r"^\| `(\w+)`", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    )
    for metric in scaler["metrics"]:
        if metric["type"] == "Pods":
            assert metric["pods"]["metric"]["name"] in documented
        else:
            assert metric["resource"]["name"] in requests
    (deployment,) = (
        item
        for item in base()
        if item["kind"] == "Deployment" and item["metadata"]["name"] == target["name"]
    )
    # Else each `kubectl apply` would undo what the autoscaler did.
    assert "replicas" not in deployment["spec"]


def test_kustomizations_name_the_files_that_there_are() -> None:
    (kustomization,) = load(KUBERNETES / "kustomization.yaml")
    files = {path.name for path in KUBERNETES.glob("*.yaml")}
    assert set(kustomization["resources"]) == files - {"kustomization.yaml", "service-monitor.yaml"}
    (proxied,) = load(BEHIND_PROXY / "kustomization.yaml")
    assert {path.removeprefix("../") for path in proxied["resources"]} == set(
        kustomization["resources"]
    )
    assert {entry["path"] for entry in proxied["patches"]} == {
        path.name for path in BEHIND_PROXY.glob("*.yaml")
    } - {"kustomization.yaml"}
    assert {image["name"] for image in kustomization["images"]} == {"smidgen"}


def test_kserve_finds_the_runtime_by_format_and_protocol() -> None:
    found = {item["kind"]: item for item in kserve()}
    spec = found["ServingRuntime"]["spec"]
    model = found["InferenceService"]["spec"]["predictor"]["model"]
    assert model["runtime"] == found["ServingRuntime"]["metadata"]["name"]
    formats = {(entry["name"], entry["version"]) for entry in spec["supportedModelFormats"]}
    assert (model["modelFormat"]["name"], model["modelFormat"]["version"]) in formats
    assert model["protocolVersion"] in spec["protocolVersions"]
    assert found["InferenceService"]["metadata"]["name"] != "smidgen"


def test_no_file_has_what_yaml_would_read_in_two_ways() -> None:
    for path in sorted((ROOT / "deploy").rglob("*.yaml")):
        for event in yaml.parse(path.read_text()):
            assert not isinstance(event, yaml.AliasEvent), path


def test_commands_of_the_manifests_exist() -> None:
    commands = {command.name for command in command_line.registered_commands}
    assert {"serve", "health", "restore", "backup"} <= commands
