"""The gateway gets a configuration that it accepts."""

import stat
import sys
from pathlib import Path

import pytest
import yaml

from app.launch import gateway
from app.launch.errors import LaunchError
from app.launch.flags import Role
from app.launch.gateway import Backend, check, configure, local_url, read_base, try_out, write

PAIR = [
    Backend(Role.INSTRUCT, "fast-model", "http://127.0.0.1:1"),
    Backend(Role.THINKING, "deep-model", "http://127.0.0.1:2"),
]
HYBRID = [Backend(Role.HYBRID, "both-model", "http://127.0.0.1:1", "key")]


def test_a_pair_becomes_two_pools_and_one_alias() -> None:
    settings = check(configure({}, PAIR, "qwen3-2507", port=9000), None)
    route = settings.routes["auto"]
    assert (route.family, route.instruct, route.thinking, route.profile) == ("qwen3-2507", "fast", "deep", "default")
    assert settings.pools["deep"].replicas == ["http://127.0.0.1:2"]
    assert (settings.server.host, settings.server.port) == ("127.0.0.1", 9000)


def test_a_hybrid_becomes_one_pool_with_its_key() -> None:
    settings = check(configure({}, HYBRID, "qwen3-hybrid"), None)
    assert settings.routes["auto"].pool == "both"
    assert settings.pools["both"].api_key is not None


def test_the_base_keeps_its_judge_profiles_and_auth_but_not_its_pools() -> None:
    base = {
        "server": {"port": 7000, "drain_timeout_s": 60},
        "auth": {"keys": [{"key": "${MY_KEY:-k}"}]},
        "pools": {"old": {"model": "old", "replicas": ["http://old:1"]}},
        "routes": {"support": {"family": "qwen3-hybrid", "pool": "old", "profile": "cheap"}},
        "judge": {"kind": "heuristic"},
        "profiles": {"cheap": {"threshold": 0.9}},
    }
    made = configure(base, PAIR, "qwen3-2507", host="0.0.0.0")
    settings = check(made, Path("base.yaml"))
    assert set(settings.pools) == {"fast", "deep"}
    assert settings.routes["support"].thinking == "deep"
    assert settings.routes["support"].profile == "cheap"
    assert settings.routes["auto"].profile == "default"
    assert settings.judge.kind == "heuristic"
    assert (settings.server.host, settings.server.port, settings.server.drain_timeout_s) == ("0.0.0.0", 7000, 60)
    assert made["auth"]["keys"][0]["key"] == "${MY_KEY:-k}", "secrets stay in the environment"


def test_other_judge_weights_are_named_by_their_full_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = configure({"judge": {"on_failure": "thinking"}}, PAIR, "qwen3-2507", judge_weights=Path("w"))
    assert made["judge"] == {"on_failure": "thinking", "kind": "linear", "path": str(tmp_path / "w")}


def test_a_mistake_in_the_base_names_file_and_field() -> None:
    with pytest.raises(LaunchError, match=r"--config base\.yaml: server\.prot: unknown key"):
        check(configure({"server": {"prot": 1}}, PAIR, "qwen3-2507"), Path("base.yaml"))


def test_an_open_gateway_stays_on_this_machine() -> None:
    with pytest.raises(LaunchError, match=r"would open the gateway to everyone(?s:.)*auth"):
        check(configure({}, PAIR, "qwen3-2507", host="0.0.0.0"), None)
    check(configure({}, PAIR, "qwen3-2507", host="::1"), None)
    check(configure({}, PAIR, "qwen3-2507", host="localhost"), None)


def test_a_base_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    with pytest.raises(LaunchError, match="cannot be read"):
        read_base(file)
    for text in ("a: [", "[]", "server: 1", "routes: [x]"):
        file.write_text(text)
        with pytest.raises(LaunchError, match=r"c\.yaml"):
            read_base(file)
    file.write_text("")
    assert read_base(file) == {} == read_base(None)


def test_the_written_file_is_the_owners_alone_and_can_be_read_back(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text("old")
    file.chmod(0o644)
    made = configure({}, HYBRID, "qwen3-hybrid")
    write(made, file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert yaml.safe_load(file.read_text()) == made


def test_what_the_gateway_refuses_is_shown_in_its_words(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"does not accept (?s:.)*no weights there"):
        try_out([sys.executable, "-c", "import sys; sys.exit('no weights there')"], tmp_path / "g.yaml")
    try_out([sys.executable, "-c", ""], tmp_path / "g.yaml")


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
        ("::1", "http://[::1]:80"),
        ("10.0.0.1", "http://10.0.0.1:80"),
    ],
)
def test_this_machine_reaches_the_gateway(host: str, url: str) -> None:
    assert local_url(host, 80) == url


def test_every_role_has_a_pool() -> None:
    assert set(gateway.POOLS) == set(Role)
