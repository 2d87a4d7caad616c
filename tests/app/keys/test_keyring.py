"""The keyring: configuration and file together, read again when the file changes."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from app.keys import keyring
from app.keys.digest import digest_of
from app.keys.file import KeysFileError, StoredKey, write_keys
from app.keys.keyring import Keyring
from app.settings import Auth
from tests.app.conftest import soon


def stored(key: str, **changes) -> StoredKey:
    return StoredKey(**{"digest": digest_of(key.encode()), "created": datetime.now(UTC), **changes})


def digests(ring: Keyring) -> set[str]:
    return {digest for digest, _ in ring.grants()}


def of(*keys: str) -> set[str]:
    return {digest_of(key.encode()) for key in keys}


def test_keys_of_the_configuration_may_be_plain_or_digests():
    ring = Keyring(Auth(keys=[{"key": "plain"}, {"key": digest_of(b"hashed")}]))
    assert digests(ring) == of("plain", "hashed")
    assert Keyring(None).grants() == []


def test_the_file_adds_keys_and_the_configuration_counts_first(tmp_path):
    path = tmp_path / "k.json"
    write_keys(path, [stored("a", tenant="file"), stored("b")])
    ring = Keyring(Auth(keys=[{"key": "a", "tenant": "config"}], keys_file=str(path)))
    assert digests(ring) == of("a", "b")
    assert [rights.tenant for digest, rights in ring.grants() if digest in of("a")] == ["config"]


def test_a_file_that_is_not_there_is_an_error_at_the_start(tmp_path):
    with pytest.raises(KeysFileError):
        Keyring(Auth(keys_file=str(tmp_path / "none")))


def test_an_expired_key_is_none(tmp_path):
    path = tmp_path / "k.json"
    past = datetime.now(UTC) - timedelta(seconds=1)
    write_keys(path, [stored("a", expires=past), stored("b", expires=past + timedelta(days=1))])
    assert digests(Keyring(Auth(keys_file=str(path)))) == of("b")


async def test_changes_are_seen_and_a_broken_file_changes_nothing(tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(keyring, "POLL_S", 0.01)
    path = tmp_path / "k.json"
    write_keys(path, [stored("a")])
    changes = []
    ring = Keyring(Auth(keys_file=str(path)), lambda: changes.append(digests(ring)))
    ring.start()
    write_keys(path, [stored("a"), stored("b")])
    assert await soon(lambda: changes == [of("a", "b")], 5)
    path.write_text("{")
    assert await soon(lambda: "stay as they were" in caplog.text, 5)
    assert digests(ring) == of("a", "b")
    path.unlink()
    await asyncio.sleep(0.05)
    assert digests(ring) == of("a", "b")
    write_keys(path, [])
    assert await soon(lambda: changes[-1] == set(), 5)
    await ring.stop()


async def test_a_key_that_expires_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr(keyring, "POLL_S", 0.01)
    path = tmp_path / "k.json"
    write_keys(path, [stored("a", expires=datetime.now(UTC) + timedelta(seconds=0.2)), stored("b")])
    changes = []
    ring = Keyring(Auth(keys_file=str(path)), lambda: changes.append(digests(ring)))
    assert digests(ring) == of("a", "b")
    ring.start()
    assert await soon(lambda: changes == [of("b")], 10)
    await ring.stop()


async def test_a_key_that_expired_by_a_wrong_clock_is_valid_again_when_it_is_set_right(tmp_path, monkeypatch):
    class Clock(datetime):
        ahead = timedelta()

        @classmethod
        def now(cls, tz=None):
            return datetime.now(tz) + cls.ahead

    monkeypatch.setattr(keyring, "datetime", Clock)
    path = tmp_path / "k.json"
    write_keys(path, [stored("a", expires=datetime.now(UTC) + timedelta(days=30)), stored("b")])
    changes = []
    ring = Keyring(Auth(keys_file=str(path)), lambda: changes.append(digests(ring)))
    for ahead, valid in ((timedelta(days=365), of("b")), (timedelta(), of("a", "b"))):
        Clock.ahead = ahead
        ring.poll()
        ring.poll()
        assert changes == [valid]
        changes.clear()


@pytest.mark.parametrize("key", ["", " ", "sha256:abc", "sha256:" + "G" * 64])
def test_keys_that_are_none_are_refused(key):
    with pytest.raises(ValueError, match=r"empty|sha256"):
        Auth(keys=[{"key": key}])


def test_some_keys_there_must_be():
    with pytest.raises(ValueError, match="keys_file"):
        Auth(keys=[])
