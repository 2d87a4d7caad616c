"""The gateway's configurations beside its other deployments are ones."""

import pytest
import yaml

from app.config_file import parse_settings
from app.gateway import pools_from
from tests.deploy.tools import ROOT

FILES = sorted([*ROOT.glob("deploy/config/*.yaml"), ROOT / "deploy/ray/gateway.yaml"])


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_the_gateway_can_be_started_with_it(path) -> None:
    settings = parse_settings(yaml.safe_load(path.read_text("utf-8")), {"THINKGATE_KEY": "k"})
    assert settings.auth is not None
    pools = pools_from(settings)
    assert pools.keys() == {"fast", "deep"}
    assert set(settings.routes) == {"auto"}
    assert settings.health.load_interval_s == 0  # what /metrics says there is not vLLM's word
