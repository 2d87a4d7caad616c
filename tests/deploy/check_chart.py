"""The chart: linted, rendered with every example, held against Kubernetes' schemas and the gateway's own settings."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.config_file import parse_settings
from tests.deploy.stack import RULES, dashboards
from tests.deploy.tools import ROOT, TOOLS, output, tool

CHART = ROOT / "deploy/helm/thinkgate"
EXAMPLES = sorted((CHART / "examples").glob("*.yaml"))
ENVIRON = {"THINKGATE_KEY": "k", "TEAM_A_KEY": "a", "TEAM_B_KEY": "b", "VLLM_KEY": "v", "REDIS_PASSWORD": "r",
           "PGPASSWORD": "p"}  # fmt: skip
NOT_KUBERNETES_OWN = ("ServiceMonitor", "PrometheusRule")

every_example = pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.stem)


def helm(what: str, *names: str) -> Any:
    return json.loads(output(str(TOOLS / "python"), "tests/deploy/render.py", what, *names))


def render(example: Path) -> list[dict[str, Any]]:
    """Every object of the rendered chart."""
    files = helm("render", str(example))
    texts = [text for name, text in files.items() if not name.endswith("NOTES.txt")]
    return [found for text in texts for found in yaml.safe_load_all(text) if found]


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [found for found in objects if found["kind"] == kind]


def pods(objects: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for found in objects:
        if found["kind"] in ("Deployment", "StatefulSet"):
            yield found["spec"]["template"]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 5


@every_example
def test_lint_finds_nothing(example: Path) -> None:
    report = helm("lint", str(example))
    assert report["total_charts_linted"] == 1
    assert not report["errors"]
    assert not [message for message in report["messages"] if message["severity"] > 1]  # 1: an icon is recommended


@every_example
def test_objects_are_what_kubernetes_accepts(example: Path, tmp_path: Path) -> None:
    objects = render(example)
    own = [found for found in objects if found["kind"] not in NOT_KUBERNETES_OWN]
    assert len(own) > 3
    names = [(found["kind"], found["metadata"]["name"]) for found in objects]
    assert len(names) == len(set(names))
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(own), "utf-8")
    output(tool("kubernetes-validate"), "--strict", str(file))


@every_example
def test_the_gateways_configuration_is_one(example: Path) -> None:
    objects = render(example)
    (text,) = [m["data"]["gateway.yaml"] for m in of_kind(objects, "ConfigMap") if "gateway.yaml" in m["data"]]
    settings = parse_settings(yaml.safe_load(text), ENVIRON)
    assert settings.auth is not None
    assert settings.server.host == "0.0.0.0"
    (gateway,) = of_kind(objects, "Deployment")
    spec = gateway["spec"]["template"]["spec"]
    (container,) = spec["containers"]
    assert container["ports"][0]["containerPort"] == settings.server.port
    assert settings.server.drain_delay_s >= 5  # balancers need a while
    stop_s = settings.server.drain_delay_s + settings.server.drain_timeout_s
    assert spec["terminationGracePeriodSeconds"] > stop_s
    if settings.decisions.url.startswith("sqlite:"):  # the only folder that can be written to
        assert settings.decisions.url.startswith("sqlite:////var/lib/thinkgate/")


@every_example
def test_replicas_of_the_releases_own_vllm_have_names_that_exist(example: Path) -> None:
    objects = render(example)
    (text,) = [m["data"]["gateway.yaml"] for m in of_kind(objects, "ConfigMap") if "gateway.yaml" in m["data"]]
    known = {
        f"http://{s['metadata']['name']}-{i}.{s['spec']['serviceName']}.prod.svc:8000"
        for s in of_kind(objects, "StatefulSet")
        for i in range(s["spec"]["replicas"])
    }
    named = {url for pool in yaml.safe_load(text)["pools"].values() for url in pool["replicas"] if "demo-" in url}
    assert named == known


@every_example
def test_selectors_find_pods(example: Path) -> None:
    objects = render(example)
    labels = [pod["metadata"]["labels"] for pod in pods(objects)]
    services = of_kind(objects, "Service")

    def finds(wanted: dict[str, str], there: list[dict[str, str]]) -> bool:
        return any(wanted.items() <= found.items() for found in there)

    for service in services:
        assert finds(service["spec"]["selector"], labels), service["metadata"]["name"]
    for kind in ("NetworkPolicy", "PodDisruptionBudget"):
        for found in of_kind(objects, kind):
            spec = found["spec"]
            selector = spec["podSelector"] if kind == "NetworkPolicy" else spec["selector"]
            assert finds(selector["matchLabels"], labels), found["metadata"]["name"]
    for monitor in of_kind(objects, "ServiceMonitor"):
        wanted = monitor["spec"]["selector"]["matchLabels"]
        assert finds(wanted, [service["metadata"]["labels"] for service in services]), monitor["metadata"]["name"]


@every_example
def test_pods_have_no_more_rights_than_they_need(example: Path) -> None:
    for pod in pods(render(example)):
        spec = pod["spec"]
        (container,) = spec["containers"]
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"]["allowPrivilegeEscalation"] is False
        assert container["securityContext"]["capabilities"] == {"drop": ["ALL"]}
        if container["name"] == "gateway":
            assert container["securityContext"]["readOnlyRootFilesystem"] is True
            assert spec["securityContext"]["runAsNonRoot"] is True


def test_monitoring_is_the_committed_source(tmp_path: Path) -> None:
    objects = render(CHART / "examples/production.yaml")
    found = {k: v for m in of_kind(objects, "ConfigMap") for k, v in m["data"].items() if k.endswith(".json")}
    assert {name: json.loads(text) for name, text in found.items()} == dashboards()
    (rule,) = of_kind(objects, "PrometheusRule")
    committed = [g for p in sorted(RULES.glob("*.yaml")) for g in yaml.safe_load(p.read_text("utf-8"))["groups"]]
    for group in committed:
        for entry in group["rules"]:
            if "annotations" in entry:
                url = "https://docs.example.com/thinkgate/" + entry["annotations"]["runbook_url"]
                entry["annotations"]["runbook_url"] = url
    assert rule["spec"]["groups"] == committed
    file = tmp_path / "rules.yaml"
    file.write_text(yaml.safe_dump(rule["spec"]), "utf-8")
    output(tool("promtool"), "check", "rules", str(file))
    gateway = of_kind(objects, "ServiceMonitor")[0]
    (service,) = [s for s in of_kind(objects, "Service") if s["metadata"]["name"] == gateway["metadata"]["name"]]
    assert service["metadata"]["labels"][gateway["spec"]["jobLabel"]] == "thinkgate"  # the job name of the alerts


def egress(values: Path) -> list[int]:
    """Ports that the gateways may reach, besides DNS."""
    (policy,) = [
        found
        for found in of_kind(render(values), "NetworkPolicy")
        if found["spec"]["podSelector"]["matchLabels"]["app.kubernetes.io/component"] == "gateway"
    ]
    return [port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"] if port["port"] != 53]


def test_the_network_lets_the_gateways_reach_what_they_lean_on(tmp_path: Path) -> None:
    example = CHART / "examples/shared.yaml"
    assert sorted(egress(example)) == [443, 4318, 5432, 6379, 8000]
    values = yaml.safe_load(example.read_text("utf-8"))
    values["config"]["state"]["url"] = "${REDIS_URL}"
    values["config"]["decisions"]["url"] = "postgresql://db.example.com:6432/thinkgate?sslmode=verify-full"
    values["config"]["auth"]["oidc"]["jwks_url"] = "https://keys.example.com:8443/certs"
    values["networkPolicy"] = {"servicePorts": [6380]}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(values), "utf-8")
    assert sorted(egress(other)) == [443, 4318, 6379, 6380, 6432, 8000, 8443]
    assert egress(CHART / "examples/external-vllm.yaml") == [8000]


def test_scaling_leaves_the_number_of_replicas_alone() -> None:
    objects = render(CHART / "examples/production.yaml")
    assert "replicas" not in of_kind(objects, "Deployment")[0]["spec"]
    (scaler,) = of_kind(objects, "HorizontalPodAutoscaler")
    assert [metric["type"] for metric in scaler["spec"]["metrics"]] == ["Resource", "Pods"]


MISTAKES = {
    "a misspelt key": {"replicas": 3},
    "a misspelt key inside": {"monitoring": {"dashboards": {"enable": True}}},
    "a loopback address": {"config": {"server": {"host": "127.0.0.1"}}},
    "a privileged port": {"config": {"server": {"port": 80}}},
    "no routes": {"config": {"routes": None}},
    "scaling by nothing": {"autoscaling": {"enabled": True, "cpuPercent": 0}},
    "a folder without a slash": {"monitoring": {"prometheusRule": {"runbookBaseUrl": "https://docs.example.com"}}},
    "an engine without a name": {"vllm": [{"pool": "fast", "model": "m"}]},
    "an unknown service type": {"service": {"type": "Clusterip"}},
}


def merged(base: dict[str, Any], change: dict[str, Any]) -> dict[str, Any]:
    both = dict(base)
    for key, value in change.items():
        both[key] = merged(both.get(key) or {}, value) if isinstance(value, dict) else value
    return both


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_schema_refuses(mistake: str) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text("utf-8"))
    values["config"]["routes"] = {"auto": {"instruct": "a", "thinking": "b"}}
    assert complaint(values) is None
    assert complaint(merged(values, MISTAKES[mistake]))


def complaint(values: dict[str, Any]) -> str | None:
    done = subprocess.run(
        [str(TOOLS / "python"), "tests/deploy/render.py", "schema"],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )
    answer = json.loads(done.stdout)
    return None if answer is None else str(answer)
