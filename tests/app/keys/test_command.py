"""`thinkgate keys`: what each part does to the file, and what it says."""

import re
from datetime import UTC, datetime

import pytest

from app.cli import main
from app.keys.digest import digest_of
from app.keys.file import read_keys


@pytest.fixture
def file(tmp_path):
    return tmp_path / "keys.json"


def create(file, capsys, *more: str) -> str:
    assert main(["keys", "create", "--file", str(file), *more]) == 0
    key = capsys.readouterr().out.strip()
    assert re.fullmatch(r"tg-[\w-]{43}", key)
    return key


def test_a_key_is_shown_once_and_only_its_digest_is_kept(file, capsys):
    key = create(file, capsys, "--tenant", "acme", "--name", "ci", "--routes", "auto", "--concurrent", "4")
    (stored,) = read_keys(file)
    assert stored.digest == digest_of(key.encode())
    assert key not in file.read_text()
    assert (stored.tenant, stored.name, stored.routes, stored.limits.concurrent) == ("acme", "ci", ["auto"], 4)
    assert stored.expires is None
    assert main(["keys", "list", "--file", str(file)]) == 0
    out = capsys.readouterr().out
    assert stored.id in out
    assert key not in out
    assert stored.digest not in out


def test_a_key_may_have_an_end(file, capsys):
    create(file, capsys, "--days", "2")
    (stored,) = read_keys(file)
    assert 1.9 < (stored.expires - datetime.now(UTC)).total_seconds() / 86_400 <= 2


def test_rotation_leaves_two_valid_keys_with_the_same_rights(file, capsys):
    create(file, capsys, "--name", "ci", "--tenant", "t", "--thinking-tokens-per-hour", "9")
    assert main(["keys", "rotate", "ci", "--file", str(file), "--keep-hours", "1"]) == 0
    fresh_key = capsys.readouterr().out.strip()
    old, fresh = read_keys(file)
    assert fresh.digest == digest_of(fresh_key.encode())
    assert (fresh.tenant, fresh.limits, fresh.expires) == (old.tenant, old.limits, None)
    assert 0.9 < (old.expires - datetime.now(UTC)).total_seconds() / 3600 <= 1
    assert not old.expired(datetime.now(UTC))


def test_a_revoked_key_is_gone(file, capsys):
    create(file, capsys, "--name", "one")
    create(file, capsys, "--name", "two")
    assert main(["keys", "revoke", "one", "--file", str(file)]) == 0
    assert [key.name for key in read_keys(file)] == ["two"]
    assert main(["keys", "revoke", read_keys(file)[0].id, "--file", str(file)]) == 0
    assert read_keys(file) == []


@pytest.mark.parametrize("name", ["none", "same"])
def test_a_name_that_is_not_one_key_is_an_error(file, capsys, name):
    for _ in range(2):
        create(file, capsys, "--name", "same")
    assert main(["keys", "revoke", name, "--file", str(file)]) == 2
    assert len(read_keys(file)) == 2
    assert "thinkgate keys list" in capsys.readouterr().err


def test_the_configuration_may_say_where_the_file_is(tmp_path, file, capsys):
    config = tmp_path / "c.yaml"
    text = "pools: {a: {model: m, replicas: ['http://x:1']}}\nroutes: {auto: {instruct: a, thinking: a}}\n"
    config.write_text(text)
    assert main(["keys", "list", "--config", str(config)]) == 2
    assert "auth.keys_file is not set" in capsys.readouterr().err
    config.write_text(text + f"auth: {{keys_file: {file}}}\n")
    assert main(["keys", "create", "--config", str(config)]) == 0
    assert len(read_keys(file)) == 1


def test_a_limit_of_nothing_is_refused(file, capsys):
    assert main(["keys", "create", "--file", str(file), "--concurrent", "0"]) == 2
    assert not file.exists()
