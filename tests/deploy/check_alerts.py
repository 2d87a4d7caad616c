"""Prometheus' own checks of the configuration and the rules; every alert is seen to fire and to resolve."""

import re

import yaml

from tests.deploy.stack import RULES
from tests.deploy.tools import ROOT, output, tool

TESTS = ROOT / "tests/deploy/alerts/alerts.test.yaml"


def alerts() -> list[dict[str, object]]:
    groups = yaml.safe_load((RULES / "alerts.yaml").read_text("utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def test_prometheus_accepts_its_configuration_and_the_rules() -> None:
    output(tool("promtool"), "check", "config", "--syntax-only", "deploy/prometheus/prometheus.yml")
    output(tool("promtool"), "check", "rules", "--lint-fatal", *map(str, sorted(RULES.glob("*.yaml"))))


def test_alerts_fire_and_resolve() -> None:
    assert "SUCCESS" in output(tool("promtool"), "test", "rules", str(TESTS))


def test_every_alert_is_tested_quiet_firing_and_resolved() -> None:
    tested = {test["name"]: test["alert_rule_test"] for test in yaml.safe_load(TESTS.read_text("utf-8"))["tests"]}
    assert tested.keys() == {alert["alert"] for alert in alerts()}
    for name, (quiet, firing, resolved) in tested.items():
        assert {quiet["alertname"], firing["alertname"], resolved["alertname"]} == {name}
        assert not quiet["exp_alerts"]
        assert firing["exp_alerts"]
        assert not resolved["exp_alerts"]
        minutes = [_minutes(case["eval_time"]) for case in (quiet, firing, resolved)]
        assert minutes == sorted(minutes)


def _minutes(text: str) -> int:
    match = re.fullmatch(r"(\d+)([mh])", text)
    assert match
    return int(match[1]) * {"m": 1, "h": 60}[match[2]]
