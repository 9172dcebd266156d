"""docker-compose's profile `observability`: what it mounts exists, and its parts find each other and the service."""

import json
import re
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml

from orders_project.metrics_server import parse
from tests.architecture.tree import ROOT

COMPOSE = yaml.safe_load((ROOT / "docker-compose.yml").read_text())
SERVICES = COMPOSE["services"]
OBSERVING = {name: service for name, service in SERVICES.items() if service.get("profiles") == ["observability"]}


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / path).read_text())


def port_of_metrics(service: dict[str, Any]) -> int:
    return parse(service["environment"]["METRICS_BIND"])[1]


def test_the_profile_brings_metrics_a_dashboard_and_traces():
    assert set(OBSERVING) == {"prometheus", "grafana", "otel-collector", "jaeger"}


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_what_is_mounted_exists_and_an_image_has_a_version(name):
    service = SERVICES[name]
    mounted = [volume.split(":")[0] for volume in service.get("volumes", [])]
    assert [path for path in mounted if path.startswith(".") and not (ROOT / path).exists()] == []
    assert [volume for volume in mounted if not volume.startswith(".") and volume not in COMPOSE["volumes"]] == []
    if name in OBSERVING:
        assert re.fullmatch(r"[a-z-]+/[a-z-]+:v?\d+\.\d+\.\d+", service["image"])


def test_every_process_that_counts_is_scraped_where_it_listens():
    [job] = read("prometheus/prometheus.yml")["scrape_configs"]
    [found] = job["dns_sd_configs"]

    counting = {name for name, service in SERVICES.items() if _serves_metrics(name, service)}
    assert set(found["names"]) == counting
    assert {port_of_metrics(SERVICES[name]) for name in counting} == {found["port"]}
    assert job["job_name"] == "orders"


def test_no_port_of_metrics_is_published():
    published = [str(port) for service in SERVICES.values() for port in service.get("ports", [])]

    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    assert [port for port in published if port.endswith(":9100")] == []


def test_grafana_reads_from_the_others_and_shows_the_dashboard_that_is_mounted():
    sources = read("grafana/provisioning/datasources/orders.yml")["datasources"]
    hosts = {source["type"]: urlsplit(source["url"]) for source in sources}
    assert {kind: url.hostname for kind, url in hosts.items()} == {"prometheus": "prometheus", "jaeger": "jaeger"}
    for kind, url in hosts.items():
        assert f"127.0.0.1:{url.port}:{url.port}" in SERVICES[kind]["ports"]
    [provider] = read("grafana/provisioning/dashboards/orders.yml")["providers"]
    mounts = dict(volume.split(":")[:2] for volume in SERVICES["grafana"]["volumes"])
    folder = next(path for path, target in mounts.items() if target == provider["options"]["path"])
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert json.loads((ROOT / folder / home.rpartition("/")[2]).read_text())["uid"] == "orders"


def test_spans_go_through_the_collector_to_jaeger():
    config = read("otel-collector.yml")
    pipeline = config["service"]["pipelines"]["traces"]
    for part in ("receivers", "processors", "exporters"):
        assert set(pipeline[part]) == set(config[part])
    assert config["exporters"]["otlp/jaeger"]["endpoint"].split(":")[0] in OBSERVING
    ports = {protocol["endpoint"].split(":")[1] for protocol in config["receivers"]["otlp"]["protocols"].values()}
    advised = re.findall(r"http://otel-collector:(\d+)", (ROOT / ".env.example").read_text())
    assert advised
    assert set(advised) <= ports


def _serves_metrics(name: str, service: dict[str, Any]) -> bool:
    """Long-lived, and of the service's own image with its environment: not `migrate`, which ends."""
    return "METRICS_BIND" in service.get("environment", {}) and service["restart"] != "no"
