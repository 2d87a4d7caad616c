"""What is generated is fresh, what is named exists. Needs no tool, so it runs with the other unit tests."""

import json
import re
from pathlib import Path

import pytest
import yaml

from app.config_file import parse_settings
from app.gateway import create_app
from app.metrics.totals import exposition
from app.server.census import Census
from deploy.grafana import build
from deploy.prometheus import reference
from router.judges import ConstantJudge
from tests.deploy.stack import RULES, dashboards, panel_queries, recording_rules
from tests.deploy.tools import ROOT

POOLS = {"a": {"model": "m", "replicas": ["http://127.0.0.1:1"]}}
ROUTES = {"auto": {"family": "qwen3-hybrid", "pool": "a"}}


def exposed() -> set[str]:
    """Names of all metrics, those that several workers have together included."""
    app = create_app(parse_settings({"pools": POOLS, "routes": ROUTES}, {}), judge=ConstantJudge())
    text = app.meters.exposition() + exposition(Census(list).totals())
    return set(re.findall(r"^# HELP (\S+)", text.decode(), re.MULTILINE))


def test_dashboards_are_what_the_code_builds() -> None:
    assert not build.stale(), "run `python -m deploy.grafana.build`"
    assert len(dashboards()) == 4


def test_stale_dashboards_are_found(tmp_path: Path) -> None:
    for name, text in build.files().items():
        (tmp_path / name).write_text(text, "utf-8")
    assert not build.stale(tmp_path)
    (tmp_path / "routing.json").write_text("{}", "utf-8")
    (tmp_path / "nobodys.json").write_text("{}", "utf-8")
    (tmp_path / "backends.json").unlink()
    assert build.stale(tmp_path) == ["backends.json", "nobodys.json", "routing.json"]


def test_the_reference_is_that_of_the_shipped_judge() -> None:
    card = json.loads((reference.WEIGHTS / "judge.json").read_text("utf-8"))
    assert reference.RULES.read_text("utf-8") == reference.rules(card), "run `python -m deploy.prometheus.reference`"


def test_the_reference_runs_through_the_cards_points() -> None:
    thresholds = {"25": 0.8, "50": 0.4}
    assert reference.share_below(0.8, thresholds) == pytest.approx(0.75)
    assert reference.share_below(0.4, thresholds) == pytest.approx(0.5)
    assert reference.share_below(0.2, thresholds) == pytest.approx(0.25)
    assert reference.share_below(0.9, thresholds) == pytest.approx(0.875)
    assert reference.share_below(1.0, thresholds) == 1
    assert reference.share_below(0.0, thresholds) == 0


def test_queries_use_metrics_that_exist() -> None:
    recorded = {name for name, _ in recording_rules()}
    alerts = yaml.safe_load((RULES / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    used = [*panel_queries(), *recording_rules(), *((rule["alert"], rule["expr"]) for rule in alerts)]
    known = exposed()
    for place, expr in used:
        for metric in re.findall(r"\bthinkgate_[a-z_]+", expr):
            assert re.sub(r"_(bucket|sum|count)$", "", metric) in known, f"{place}: {metric} is no metric"
        for name in re.findall(r"\bthinkgate:[a-z0-9_:]+", expr):
            assert name in recorded, f"{place}: {name} is recorded by no rule"


def test_every_metric_is_in_some_panel() -> None:
    recorded = dict(recording_rules())
    text = " ".join(expr for _, expr in panel_queries())
    text += " ".join(recorded[name] for name in re.findall(r"\bthinkgate:[a-z0-9_:]+", text))
    shown = {re.sub(r"_(bucket|sum|count)$", "", name) for name in re.findall(r"\bthinkgate_[a-z_]+", text)}
    assert not exposed() - shown


def test_panels_do_not_overlap() -> None:
    for name, dashboard in dashboards().items():
        taken: set[tuple[int, int]] = set()
        for panel in dashboard["panels"]:
            at = panel["gridPos"]
            cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
            assert max(x for x, _ in cells) < 24
            assert not cells & taken, f"{name}: {panel['title']}"
            taken |= cells


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    rules = yaml.safe_load((RULES / "alerts.yaml").read_text("utf-8"))["groups"][0]["rules"]
    heads = re.findall(r"^## (ThinkGate\w+)$", (ROOT / "docs/runbooks.md").read_text("utf-8"), re.MULTILINE)
    assert heads == [rule["alert"] for rule in rules]
    for rule in rules:
        assert rule["annotations"]["runbook_url"] == f"docs/runbooks.md#{rule['alert'].lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning")
