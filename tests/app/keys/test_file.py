"""The keys file: what is written is read, half-written files are never seen, nonsense is told in words."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from app.keys.digest import digest_of, is_digest, new_key
from app.keys.file import KeysFileError, StoredKey, read_keys, write_keys

NOW = datetime(2026, 11, 1, tzinfo=UTC)


def stored(key: str = "k", **changes) -> StoredKey:
    return StoredKey(**{"digest": digest_of(key.encode()), "created": NOW, **changes})


def test_what_is_written_is_read(tmp_path):
    keys = [
        stored("a"),
        stored("b", tenant="t", routes=["auto"], models=[], limits={"concurrent": 3}, expires=NOW + timedelta(days=1)),
    ]
    write_keys(tmp_path / "keys.json", keys)
    assert read_keys(tmp_path / "keys.json") == keys
    assert (tmp_path / "keys.json").stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["keys.json"]


def test_rights_of_the_file_stay_as_an_operator_made_them(tmp_path):
    path = tmp_path / "keys.json"
    write_keys(path, [])
    path.chmod(0o640)
    write_keys(path, [stored()])
    assert path.stat().st_mode & 0o777 == 0o640


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "not json",
        '{"version": 2, "keys": []}',
        '{"keys": [{"digest": "plain-key", "created": "2026-11-01T00:00:00Z"}]}',
        '{"keys": [{"digest": "sha256:ab", "created": "2026-11-01T00:00:00Z"}]}',
        '{"keys": [{"tenant": "x"}]}',
        '{"keys": [], "extra": 1}',
    ],
)
def test_a_file_that_is_none_is_told_in_words_without_its_contents(tmp_path, text):
    path = tmp_path / "keys.json"
    path.write_text(text)
    with pytest.raises(KeysFileError) as caught:
        read_keys(path)
    assert str(path) in str(caught.value)
    assert "plain-key" not in str(caught.value)


def test_files_that_are_not_there_or_cannot_be_written(tmp_path):
    with pytest.raises(KeysFileError, match="cannot be read"):
        read_keys(tmp_path / "none.json")
    with pytest.raises(KeysFileError, match="cannot be written"):
        write_keys(tmp_path / "no" / "folder.json", [])


def test_a_failed_write_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "keys.json"
    write_keys(path, [stored("a")])
    monkeypatch.setattr("os.replace", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(KeysFileError, match="No space left"):
        write_keys(path, [])
    assert len(read_keys(path)) == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_keys_are_random_and_digests_are_recognised():
    assert len({new_key() for _ in range(100)}) == 100
    assert is_digest(digest_of(b"x"))
    assert not is_digest("sha256:" + "A" * 64)
    assert not is_digest(digest_of(b"x") + "\n")
    assert json.loads(json.dumps(stored().id)).startswith("key_")
