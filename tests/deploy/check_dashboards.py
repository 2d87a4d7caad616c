"""The dashboards, read with Grafana's own typed model of them: a key that it does not know would be lost on the way."""

import json
import subprocess
from typing import Any

import pytest

from tests.deploy.stack import dashboards
from tests.deploy.tools import TOOLS

# Runs in the tools' environment, which has Grafana's model.
READ = """
import json, sys
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.cog.plugins import register_default_plugins
from grafana_foundation_sdk.models.dashboard import Dashboard
register_default_plugins()
print(JSONEncoder().encode(Dashboard.from_json(json.load(sys.stdin))))
"""


def read_back(dashboard: dict[str, Any]) -> dict[str, Any]:
    done = subprocess.run(
        [str(TOOLS / "python"), "-c", READ], input=json.dumps(dashboard), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def lost(sent: Any, back: Any, path: str = "") -> list[str]:
    """Paths of what was sent and did not come back the same."""
    if isinstance(sent, dict):
        if not isinstance(back, dict):
            return [path]
        return [where for key, value in sent.items() for where in lost(value, back.get(key), f"{path}.{key}")]
    if isinstance(sent, list):
        if not isinstance(back, list) or len(back) != len(sent):
            return [path]
        return [where for i, value in enumerate(sent) for where in lost(value, back[i], f"{path}[{i}]")]
    return [] if sent == back or (not sent and back is None) else [path]


@pytest.mark.parametrize("name", dashboards())
def test_grafanas_model_keeps_every_key(name: str) -> None:
    dashboard = dashboards()[name]
    assert not lost(dashboard, read_back(dashboard))


def test_a_misspelt_key_is_found() -> None:
    dashboard = dashboards()["routing.json"]
    dashboard["panels"][1]["gridPos"]["width"] = 3
    dashboard["panels"][1]["targets"][0]["legend"] = "x"
    assert len(lost(dashboard, read_back(dashboard))) == 2
