"""What a configuration makes of `state`."""

import sys

import pytest

from app.config_file import ConfigError, parse_settings
from app.gateway import create_app
from app.limits.window import Window
from app.state.sessions import SharedSessions
from app.state.window import SharedWindow
from router.judges import ConstantJudge
from router.session import MemorySessions

BASE = {
    "pools": {"p": {"model": "m", "replicas": ["http://127.0.0.1:1"]}},
    "routes": {"auto": {"family": "qwen3-hybrid", "pool": "p"}},
    "tenants": {"*": {"limits": {"requests_per_minute": 5, "tokens_per_hour": 5}}},
}


def gateway(**state):
    return create_app(parse_settings(BASE | {"state": state}, {}), judge=ConstantJudge())


def windows(app):
    return [window for _, account in app.shared.ledgers.accounts() for _, window in account.windows()]


def test_without_a_url_nothing_is_shared_and_no_driver_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "redis", None)
    monkeypatch.delitem(sys.modules, "app.state.sharing", raising=False)
    app = gateway()
    assert app.shared.sharing is None
    assert type(app.shared.sessions) is MemorySessions
    assert [type(window) for window in windows(app)] == [Window] * 2
    assert app.planner.opening_hash is hash


def test_with_a_url_sessions_and_limits_are():
    app = gateway(url="redis://127.0.0.1:1/0")
    assert type(app.shared.sessions) is SharedSessions
    assert [type(window) for window in windows(app)] == [SharedWindow] * 2
    assert app.planner.opening_hash is not hash


def test_a_driver_that_is_not_installed_is_named(monkeypatch):
    import app.state

    monkeypatch.setitem(sys.modules, "redis.asyncio", None)
    monkeypatch.delitem(sys.modules, "app.state.sharing", raising=False)
    monkeypatch.delattr(app.state, "sharing", raising=False)
    with pytest.raises(ConfigError, match=r"thinkgate\[redis\]"):
        gateway(url="redis://h")


@pytest.mark.parametrize(
    "url", ["http://h", "redis:/h", "redis://h\n", "redis://:hunter2@h:port/0", "redis://h:6379/x?db=y"]
)
def test_a_url_that_cannot_be_used_is_refused_without_its_password(url):
    with pytest.raises(ConfigError, match=r"state\.url") as refused:
        gateway(url=url)
    assert "hunter2" not in str(refused.value)
