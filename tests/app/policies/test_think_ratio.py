"""A target think ratio in the real gateway: the threshold moves, is told, survives a reload, and binds no client."""

import pytest

from app.config_file import ConfigError, parse_settings
from tests.app.test_reload import apply, configuration

RATIO = {"profiles": {"default": {"think_ratio": {"target": 0.25, "window": 40}}}}


async def test_the_share_of_judged_requests_comes_to_the_target(start):
    gateway = await start(score=0.6, **RATIO)
    modes = [(await gateway.chat()).headers["x-thinkgate-mode"] for _ in range(200)]
    assert modes[100:].count("thinking") == pytest.approx(25, abs=5)
    assert await gateway.metric("thinkgate_think_ratio", profile="default") == pytest.approx(0.25, abs=0.1)
    assert await gateway.metric("thinkgate_think_ratio_target", profile="default") == 0.25


async def test_the_threshold_in_force_is_told_everywhere(start):
    gateway = await start(score=0.9, **RATIO)
    answers = [await gateway.chat() for _ in range(5)]
    thresholds = [float(answer.headers["x-thinkgate-threshold"]) for answer in answers]
    assert thresholds[0] == 0.5
    assert thresholds == sorted(set(thresholds))  # each thinking has raised it
    assert [answer.json()["routing"]["threshold"] for answer in answers] == thresholds
    now = await gateway.metric("thinkgate_threshold", profile="default")
    assert now > thresholds[-1]
    for _ in range(2):  # a dry run tells it, and does not move it
        dry = await gateway.post("/v1/route", {"model": "auto", "messages": [{"role": "user", "content": "hello"}]})
        assert dry.json()["threshold"] == now
    assert await gateway.metric("thinkgate_threshold", profile="default") == now


async def test_the_clients_word_counts_whatever_the_ratio(start):
    gateway = await start(score=0.9, **RATIO)
    for _ in range(20):
        answer = await gateway.chat(headers={"x-thinkgate-mode": "thinking"})
        assert answer.headers["x-thinkgate-reason"] == "client_header"
        answer = await gateway.chat(model="auto-thinking")
        assert answer.headers["x-thinkgate-mode"] == "thinking"
    assert await gateway.metric("thinkgate_threshold", profile="default") == 0.5  # and does not count


async def test_a_reload_keeps_the_threshold_that_was_found(start):
    gateway = await start(score=0.9, **RATIO)
    for _ in range(5):
        await gateway.chat()
    found = await gateway.metric("thinkgate_threshold", profile="default")
    assert found > 0.5
    apply(gateway, **RATIO)
    assert await gateway.metric("thinkgate_threshold", profile="default") == found
    apply(gateway)
    assert await gateway.metric("thinkgate_threshold", profile="default") == 0.5
    assert gateway.app.meters.registry.get_sample_value("thinkgate_think_ratio", {"profile": "default"}) is None


@pytest.mark.parametrize(
    "wrong", [{"target": 0}, {"target": 1}, {}, {"target": 0.3, "min_threshold": 0.9, "max_threshold": 0.1}]
)
async def test_settings_that_make_no_sense_are_refused(gateway, wrong):
    with pytest.raises(ConfigError):
        configuration(gateway, profiles={"default": {"think_ratio": wrong}})


def test_profiles_without_policies_have_no_controls():
    data = {
        "pools": {"one": {"model": "m", "replicas": ["http://127.0.0.1:1"]}},
        "routes": {"auto": {"family": "qwen3-hybrid", "pool": "one"}},
    }
    profile = parse_settings(data, {}).profiles["default"].to_profile("default")
    assert not profile.controlled
