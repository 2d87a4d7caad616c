"""The configuration file: the contract's own example, the environment, and words for every mistake."""

import asyncio
import copy
import re
import socket

import pytest
import yaml

from app.config_file import ConfigError, load_settings, parse_settings
from app.server import check_exposure, open_listeners
from router.mode import Mode

EXAMPLE = """
server: {host: 127.0.0.1, port: 8080, listeners: 8, max_body_bytes: 33554432}
auth:
  keys: [{key: "${THINKGATE_KEY}", tenant: default}]  # without `auth` the gateway is open, warns, …
pools:
  fast: {model: qwen-instruct, replicas: ["http://127.0.0.1:8101"], api_key: "${VLLM_KEY:-}"}
  deep: {model: qwen-thinking, replicas: ["http://127.0.0.1:8102", "http://127.0.0.1:8103"]}
routes:
  auto: {family: qwen3-2507, instruct: fast, thinking: deep, profile: default}
  support: {family: qwen3-2507, instruct: fast, thinking: deep, profile: fast-only}
judge: {kind: linear, timeout_ms: 20, on_failure: instruct}
profiles:
  default: {threshold: 0.5, metadata: both, fallback: true}
  fast-only: {mode: instruct}
decisions: {url: "sqlite:///thinkgate.db", store_prompts: false, keep_days: 30}
"""
ENVIRONMENT = {"THINKGATE_KEY": "k-123"}


def example():
    return yaml.safe_load(EXAMPLE)


def changed(path, value):
    """The example with one value set (or added) at a dotted path; list indexes are numbers."""
    data = copy.deepcopy(example())
    here = data
    *parents, last = path.split(".")
    for part in parents:
        here = here[int(part)] if part.isdigit() else here.setdefault(part, {})
    here[int(last) if last.isdigit() else last] = value
    return data


def refusal(data, environ=ENVIRONMENT):
    with pytest.raises(ConfigError) as caught:
        parse_settings(data, environ)
    return str(caught.value)


def test_the_contracts_configuration_works_as_it_stands(tmp_path):
    file = tmp_path / "thinkgate.yaml"
    file.write_text(EXAMPLE)
    settings = load_settings(file, ENVIRONMENT)
    assert settings.auth.keys[0].key.get_secret_value() == "k-123"
    assert settings.pools["fast"].api_key is None, "an empty key is no key"
    assert settings.pools["deep"].replicas == ["http://127.0.0.1:8102", "http://127.0.0.1:8103"]
    assert settings.routes["support"].profile == "fast-only"
    assert settings.profiles["fast-only"].mode is Mode.INSTRUCT
    assert settings.judge.on_failure is Mode.INSTRUCT
    assert settings.server.max_body_bytes == 33554432


def test_keys_are_not_shown_when_settings_are_printed():
    assert "k-123" not in repr(parse_settings(example(), ENVIRONMENT))


@pytest.mark.parametrize(
    ("path", "value", "where", "nearest"),
    [
        ("sever", {}, "sever", "server"),
        ("server.prot", 1, "server.prot", "port"),
        ("auth.kyes", [], "auth.kyes", "keys"),
        ("auth.keys.0.tennant", "x", "auth.keys[0].tennant", "tenant"),
        ("pools.fast.replica", [], "pools.fast.replica", "replicas"),
        ("routes.auto.familly", "x", "routes.auto.familly", "family"),
        ("judge.knd", "x", "judge.knd", "kind"),
        ("profiles.default.treshold", 1, "profiles.default.treshold", "threshold"),
        ("timeouts.idle", 1, "timeouts.idle", "idle_s"),
        ("health.interval", 1, "health.interval", "interval_s"),
        ("sessions.tll_s", 1, "sessions.tll_s", "ttl_s"),
        ("decisions.keep_day", 1, "decisions.keep_day", "keep_days"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(path, value, where, nearest):
    message = refusal(changed(path, value))
    assert f"{where}: unknown key; did you mean `{nearest}`?" in message


def test_an_unknown_key_like_no_other_is_refused_with_all_known_ones():
    message = refusal(changed("judge.zzzz", 1))
    assert "judge.zzzz: unknown key; known are" in message
    assert "timeout_ms" in message


def test_every_problem_is_told_at_once():
    data = changed("server.port", 99999)
    data["judge"]["kind"] = "oracle"
    message = refusal(data)
    assert "server.port" in message
    assert "judge.kind" in message


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("routes.auto.instruct", "quick", "routes.auto.instruct names the pool `quick`"),
        ("routes.auto.thinking", "dep", "routes.auto.thinking names the pool `dep`"),
        ("routes.auto.profile", "fastonly", "routes.auto.profile names `fastonly`"),
        (
            "routes.auto.family",
            "qwen3-2508",
            "routes.auto.family: `qwen3-2508` is not known; did you mean `qwen3-2507`?",
        ),
        ("routes.auto", {"family": "qwen3-hybrid", "instruct": "fast", "thinking": "deep"}, "needs `pool`"),
        ("routes.auto", {"family": "qwen3-2507", "pool": "fast"}, "needs `instruct` and `thinking`"),
        ("routes.auto", {"instruct": "fast"}, "needs `instruct` and `thinking`"),
        ("routes.auto", {"pool": "fast", "instruct": "fast", "thinking": "deep"}, "not both"),
        ("routes.qwen-instruct", {"instruct": "fast", "thinking": "deep"}, "also the model name of a pool"),
        ("pools.fast.replicas", ["ftp://h:1"], "http://host:port"),
        ("pools.fast.replicas", ["localhost:8101"], "http://host:port"),
        ("pools.fast.replicas", ["http://h:1/v1"], "the gateway adds /v1"),
        ("pools.fast.replicas", [], "pools.fast.replicas"),
        ("pools", {}, "pools"),
        ("auth.keys", [], "auth: needs `keys`, a `keys_file`, or `oidc`"),
        ("auth.keys.0.key", "  ", "auth.keys[0].key: is empty"),
        ("judge.kind", "oracle", "judge.kind"),
        ("profiles.default.threshold", 7, "profiles.default.threshold"),
        ("profiles.default.effort", {"enormous": "auto"}, "profiles.default.effort"),
        ("server.port", -1, "server.port"),
        ("server.max_body_bytes", "big", "server.max_body_bytes"),
        ("families", {"mine": {"kind": "trio"}}, "families: "),
        ("families", {"mine": {"kind": "pair", "drip": []}}, "families: "),
    ],
)
def test_a_wrong_value_is_told_with_its_place(path, value, said):
    assert said in refusal(changed(path, value))


@pytest.mark.parametrize("section", ["pools", "routes"])
def test_a_missing_section_is_said_to_be_required(section):
    data = example()
    del data[section]
    assert f"{section}: is required" in refusal(data)


def test_a_variable_without_a_value_is_told_by_name_and_place():
    message = refusal(example(), {})
    assert "auth.keys[0].key" in message
    assert "THINKGATE_KEY is not set" in message
    assert "${THINKGATE_KEY:-default}" in message


@pytest.mark.parametrize(
    ("written", "environ", "read"),
    [
        ("${NAME}", {"NAME": "v"}, "v"),
        ("${NAME:-d}", {"NAME": "v"}, "v"),
        ("${NAME:-d}", {}, "d"),
        ("${NAME:-d}", {"NAME": ""}, "d"),
        ("a-${NAME}-${OTHER:-b}", {"NAME": "v"}, "a-v-b"),
        ("$NAME", {"NAME": "v"}, "$NAME"),
        ("${NAME}", {"NAME": "${OTHER}", "OTHER": "x"}, "${OTHER}"),
    ],
)
def test_variables_are_expanded_once_with_their_default(written, environ, read):
    settings = parse_settings(changed("pools.fast.model", written), {**ENVIRONMENT, **environ})
    assert settings.pools["fast"].model == read


def test_a_port_may_come_from_the_environment():
    data = changed("server.port", "${PORT:-9000}")
    assert parse_settings(data, ENVIRONMENT).server.port == 9000


@pytest.mark.parametrize("data", [None, [], "text", 7])
def test_a_file_that_is_no_mapping_is_refused(data):
    assert "must be a mapping" in refusal(data)


def test_a_missing_file_is_told_by_its_path(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.yaml: cannot be read: No such file"):
        load_settings(tmp_path / "nowhere.yaml", {})


@pytest.mark.parametrize(
    ("content", "said"),
    [(b"a: [1,\nb: }", "line 2"), (b"\xff\xfe\x00", "not UTF-8"), (b"", "must be a mapping"), (b"a: b: c", "not YAML")],
)
def test_a_file_that_cannot_be_parsed_is_told_with_its_path(tmp_path, content, said):
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        load_settings(file, {})
    assert str(file) in str(caught.value)
    assert said in str(caught.value)


def without_auth(host):
    data = changed("server.host", host)
    del data["auth"]
    return parse_settings(data, {})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com"])
def test_an_open_gateway_for_others_is_refused(host):
    with pytest.raises(ConfigError, match=r"auth\.keys"):
        check_exposure(without_auth(host))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.2", "::1", "localhost"])
def test_an_open_gateway_on_loopback_is_allowed_with_a_warning(host, caplog):
    check_exposure(without_auth(host))
    assert "no `auth`" in caplog.text


def test_with_keys_any_address_is_allowed():
    check_exposure(parse_settings(changed("server.host", "0.0.0.0"), ENVIRONMENT))


@pytest.mark.parametrize("count", [1, 4])
def test_a_taken_port_is_an_error_in_words(count):
    sockets = open_listeners("127.0.0.1", 0, count)
    try:
        port = sockets[0].getsockname()[1]
        assert {s.getsockname()[1] for s in sockets} == {port}
        sockets[0].listen()
        with pytest.raises(ConfigError, match=re.escape(f"server.port: 127.0.0.1:{port} cannot be had")):
            open_listeners("127.0.0.1", port, count)
    finally:
        for s in sockets:
            s.close()


def test_an_unknown_host_is_an_error_in_words():
    with pytest.raises(ConfigError, match=r"server\.host: `no-such-host\.invalid` cannot be resolved"):
        open_listeners("no-such-host.invalid", 0, 1)


@pytest.mark.parametrize(
    ("written", "mode"), [("auto", None), ("instruct", Mode.INSTRUCT), ("thinking", Mode.THINKING)]
)
def test_what_an_effort_means_reaches_the_profile(written, mode):
    settings = parse_settings(changed("profiles.default.effort", {"medium": written}), ENVIRONMENT)
    assert settings.profiles["default"].to_profile("default").effort_modes == {"medium": mode}


def test_every_setting_of_a_profile_reaches_the_router():
    values = {
        "threshold": 0.3,
        "mode": "thinking",
        "session_margin": 0.2,
        "metadata": "headers",
        "reasoning": "reasoning_content",
        "fallback": False,
    }
    settings = parse_settings(changed("profiles.default", values), ENVIRONMENT)
    profile = settings.profiles["default"].to_profile("mine")
    assert profile.name == "mine"
    assert {name: getattr(profile, name) for name in values} == values


@pytest.mark.parametrize(
    ("budget", "problem"),
    [
        ({"cap": 0}, "cap"),
        ({"effort": {"none": 5}}, "effort"),
        ({"score": [{"at_least": 0.8, "tokens": 5}, {"at_least": 0.5, "tokens": 9}]}, "rising order"),
        ({"score": [{"at_least": 0.5, "tokens": 5}, {"at_least": 0.5, "tokens": 9}]}, "rising order"),
        ({"score": [{"at_least": 2, "tokens": 5}]}, "at_least"),
    ],
)
def test_a_thinking_budget_that_makes_no_sense_is_refused(budget, problem):
    assert problem in refusal(changed("profiles.default.thinking_budget", budget))


async def test_asyncio_sends_at_once_on_what_the_listeners_accept():
    (listener,) = open_listeners("127.0.0.1", 0, 1)
    told = asyncio.get_running_loop().create_future()

    async def accepted(reader, writer):
        told.set_result(writer.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY))
        writer.close()

    async with await asyncio.start_server(accepted, sock=listener):
        _, writer = await asyncio.open_connection(*listener.getsockname())
        assert await told
        writer.close()
