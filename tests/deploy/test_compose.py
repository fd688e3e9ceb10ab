"""The files for `docker compose` fit its specification, each other, and the server."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

import pytest
from compose_spec import PyCompose

from smidgen_service.settings import Settings
from tests.deploy.image_file import environment, stages
from tests.deploy.manifests import DEPLOY, Object, load

FILE = DEPLOY / "compose.yaml"
REFUSING_S = 1.0  # smidgen_service/lifecycle.py


def interpolated() -> str:
    """Returns the file with the values that variables have by default."""
    return re.sub(r"\$\{\w+:-(\w+)\}", r"\1", FILE.read_text())


def services() -> dict[str, Object]:
    found: dict[str, Object] = load(FILE)[0]["services"]
    return found


def test_the_file_is_one_of_compose() -> None:
    project = PyCompose.from_yaml(interpolated())
    project.validate()
    assert project.service_names() == ["smidgen", "prometheus", "grafana"]


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("read_only:", "readonly:"),
        ("cap_drop: [ALL]", "cap_drop: ALL"),
        ("networks: [watching]", "networks: [wachting]"),
        ("stop_grace_period: 45s", "stop_grace_period: 45x"),
    ],
)
def test_a_mistake_is_found(right: str, wrong: str) -> None:
    text = interpolated()
    assert right in text
    with pytest.raises(ValueError):  # noqa: PT011 - the specification's own words
        PyCompose.from_yaml(text.replace(right, wrong)).validate()


def test_every_service_is_as_confined_as_it_can_be_and_on_loopback_only() -> None:
    for name, service in services().items():
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        # Grafana unpacks into its own folders when it starts.
        assert service.get("read_only", False) is (name != "grafana")
        for port in service["ports"]:
            assert port.startswith("127.0.0.1:")


def test_the_server_has_its_ports_its_places_to_write_and_the_time_that_a_drain_takes() -> None:
    server = services()["smidgen"]
    fields = Settings.model_fields
    assert server["ports"] == ["127.0.0.1:{0}:{0}".format(fields["port"].default)]
    assert server["volumes"] == [f"data:{environment()['SMIDGEN_DATA_DIR']}"]
    assert [entry.partition(":")[0] for entry in server["tmpfs"]] == ["/tmp"]
    assert server["environment"].keys() <= {f"SMIDGEN_{name.upper()}" for name in fields}
    names = ("lame_duck_seconds", "drain_seconds", "cancel_grace_seconds")
    takes_s = REFUSING_S + sum(fields[name].default for name in names)
    assert takes_s < float(server["stop_grace_period"].removesuffix("s"))
    for default in re.findall(r"\$\{TARGET:-(\w+)\}", FILE.read_text()):
        assert default in stages()


def test_prometheus_scrapes_the_server_and_reads_the_rules() -> None:
    (configuration,) = load(DEPLOY / "prometheus" / "prometheus.yml")
    (job,) = configuration["scrape_configs"]
    port = Settings.model_fields["metrics_port"].default
    assert job["static_configs"] == [{"targets": [f"smidgen:{port}"]}]
    prometheus = services()["prometheus"]
    mounted = mounts(prometheus)
    assert mounted["/etc/prometheus"] == "./prometheus"
    (pattern,) = configuration["rule_files"]
    assert str(PurePosixPath(pattern).parent) == "/etc/prometheus"
    flags = dict(flag.removeprefix("--").split("=") for flag in prometheus["command"])
    assert flags["config.file"] == "/etc/prometheus/prometheus.yml"
    assert flags["storage.tsdb.path"] in mounted
    assert set(services()["smidgen"]["networks"]) & set(prometheus["networks"])


def test_grafana_finds_prometheus_and_the_dashboard() -> None:
    provisioning = DEPLOY / "grafana" / "provisioning"
    (sources,) = load(provisioning / "datasources" / "prometheus.yaml")
    (source,) = sources["datasources"]
    assert source["url"] == "http://prometheus:9090"
    assert "127.0.0.1:9090:9090" in services()["prometheus"]["ports"]
    (dashboards,) = load(provisioning / "dashboards" / "smidgen.yaml")
    (provider,) = dashboards["providers"]
    grafana = services()["grafana"]
    home = grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert str(PurePosixPath(home).parent) == provider["options"]["path"]
    assert mounts(grafana)[home] == "./grafana/smidgen.json"
    assert mounts(grafana)["/etc/grafana/provisioning"] == "./grafana/provisioning"
    assert set(grafana["networks"]) & set(services()["prometheus"]["networks"])


def test_volumes_and_files_that_are_mounted_are_there() -> None:
    volumes = load(FILE)[0]["volumes"].keys()
    sources = {source for service in services().values() for source in mounts(service).values()}
    assert {source for source in sources if "/" not in source} == volumes
    missing = {source for source in sources - volumes if not (DEPLOY / source).exists()}
    assert missing == set()


def mounts(service: Object) -> dict[str, str]:
    """Returns what is mounted where in a service."""
    return {target: source for source, target, *_ in (v.split(":") for v in service["volumes"])}
