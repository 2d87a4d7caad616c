"""Every panel and every rule, asked of a real Prometheus that scrapes a real gateway under traffic."""

import math
import time
from collections.abc import Iterator

import pytest

from tests.deploy.stack import Stack, panel_queries, recording_rules, running

WARM_UP_S = 25  # for the slowest chain: scrape, a rule, a rule upon it, a window with two samples


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with running(tmp_path_factory.mktemp("stack")) as stack:
        time.sleep(WARM_UP_S)
        yield stack


def finite(stack: Stack, expr: str) -> list[tuple[dict[str, str], list[float]]]:
    """The series; there must be some, and every value of them a number."""
    series = stack.series(expr)
    assert series, f"nothing comes back for {expr}"
    for labels, values in series:
        assert all(math.isfinite(value) for value in values), f"{labels}: {values} for {expr}"
    return series


@pytest.mark.parametrize(("place", "expr"), panel_queries(), ids=[place for place, _ in panel_queries()])
def test_panels_query_is_not_empty_and_finite(stack: Stack, place: str, expr: str) -> None:
    finite(stack, expr)


@pytest.mark.parametrize("name", sorted({name for name, _ in recording_rules()}))
def test_recorded_series_is_not_empty_and_finite(stack: Stack, name: str) -> None:
    finite(stack, name)


def test_no_rule_fails_to_evaluate(stack: Stack) -> None:
    rules = [rule for group in stack.api("rules")["groups"] for rule in group["rules"]]
    assert len(rules) > 50
    assert not [(rule["name"], rule["lastError"]) for rule in rules if rule["health"] != "ok"]


@pytest.mark.parametrize("target", ["thinkgate", "vllm"])
def test_targets_are_up(stack: Stack, target: str) -> None:
    assert {values[-1] for _, values in finite(stack, f'up{{job="{target}"}}')} == {1.0}


def test_the_traffic_touches_what_the_dashboards_show(stack: Stack) -> None:
    """The figures are the traffic's: a panel that always shows 0 would pass the check above."""

    def value(expr: str) -> float:
        return finite(stack, expr)[0][1][-1]

    assert 0.3 < value("thinkgate:think_ratio:rate5m") < 0.9
    assert 0.5 < value("thinkgate:reasoning_share:rate5m") < 1
    assert 0.05 < value("thinkgate:fallback_ratio:rate5m") < 0.3
    assert 0.03 < value("thinkgate:request_errors:ratio_rate5m") < 0.2  # both pools refuse; a fallback is no error
    assert 5 < value("thinkgate:reasoning_tokens_per_thinking_answer:rate1h") < 40
    assert value("thinkgate:thinking_tokens_avoided_at_most:rate1h") > 0
    assert value("thinkgate:judge_score:drift_from_calibration") > 0.1
    assert value("sum(rate(thinkgate_client_disconnects_total[20s]))") > 0
    assert value("sum(rate(thinkgate_retries_total[20s]))") > 0
    assert value("sum(rate(thinkgate_escalations_total[20s]))") > 0
    assert value('sum(rate(thinkgate_draft_tokens_total{outcome="kept"}[20s]))') > 0
    assert value("sum(rate(thinkgate_rescues_total[20s]))") > 0
    assert value("sum(thinkgate_explored_total)") > 0
    assert value('sum(thinkgate_shadows_total{outcome="kept"})') > 0
    assert 0 < value("thinkgate:thinking_withheld_ratio:rate5m") < 0.3
    assert 0.3 < value("thinkgate:feedback_good_share:increase1d") < 0.7
    assert value("thinkgate_workers") == 2
    assert 0 < value("thinkgate_state_behind_seconds") < 10
    profiles = {labels["profile"] for labels, _ in finite(stack, "thinkgate:think_ratio_by_profile:rate5m")}
    assert profiles == {"default", "steered", "curious", "drafted"}
    assert value('min(thinkgate_backend_up{pool="gone"})') == 0
    reasons = {labels["reason"] for labels, _ in finite(stack, "thinkgate:reason_share:rate5m")}
    assert {"judge", "client_model", "client_header", "client_field", "soft_switch"} <= reasons


def test_alerts_that_should_wait_are_pending(stack: Stack) -> None:
    """The pool that is gone is noticed; nothing cries at once about a gateway that is well."""
    alerts = {alert["labels"]["alertname"] for alert in stack.api("alerts")["alerts"]}
    assert "ThinkGatePoolDown" in alerts
    assert "ThinkGateDown" not in alerts
    assert "ThinkGateAbsent" not in alerts
