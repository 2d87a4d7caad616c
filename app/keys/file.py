"""The keys file: digests and rights, one object a key. Knows JSON and the disk; knows no request and no gateway.

Written as a whole into another file which then takes its place: a reader never sees half of it.
"""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from pydantic import Field, ValidationError, field_validator

from app.config_file import ConfigError
from app.keys.digest import id_of, is_digest
from app.keys.settings import Rights
from app.section import Section


class KeysFileError(ConfigError):
    """The file cannot be used; the message says why and holds no digest."""


class StoredKey(Rights):
    """A key in the file. Times are UTC."""

    digest: str
    name: str = ""
    created: datetime
    expires: datetime | None = None

    @field_validator("digest")
    @classmethod
    def _digest(cls, value: str) -> str:
        if not is_digest(value):
            raise ValueError("is no `sha256:` digest")
        return value

    @field_validator("created", "expires")
    @classmethod
    def _utc(cls, value: datetime | None) -> datetime | None:
        return value.replace(tzinfo=UTC) if value is not None and value.tzinfo is None else value

    @property
    def id(self) -> str:
        """The key's short name."""
        return id_of(self.digest)

    def expired(self, now: datetime) -> bool:
        """Is it no longer valid?"""
        return self.expires is not None and self.expires <= now


class _File(Section):
    version: int = Field(1, ge=1, le=1)
    keys: list[StoredKey] = Field(default_factory=list)


def read_keys(path: Path) -> list[StoredKey]:
    """All keys in the file, expired ones included. Raises KeysFileError."""
    try:
        return _File.model_validate_json(path.read_bytes()).keys
    except OSError as error:
        raise KeysFileError(f"{path}: cannot be read: {error.strerror}") from error
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"]) or "the file"
        raise KeysFileError(f"{path}: {where}: {first['msg']}") from None


def write_keys(path: Path, keys: list[StoredKey]) -> None:
    """Replace the file, readable by its owner alone (or as it was). Raises KeysFileError."""
    data = _File(keys=keys).model_dump(mode="json", exclude_defaults=True)
    text = json.dumps({"version": 1, "keys": data.get("keys", [])}, indent=1, ensure_ascii=False) + "\n"
    try:
        mode = path.stat().st_mode & 0o777 if path.exists() else 0o600
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as out:
                out.write(text)
                out.flush()
                os.fsync(out.fileno())
            os.chmod(name, mode)
            os.replace(name, path)
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
    except OSError as error:
        raise KeysFileError(f"{path}: cannot be written: {error.strerror}") from error


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Only one command changes the file at a time. Raises KeysFileError."""
    try:
        with path.with_name(path.name + ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
    except OSError as error:
        raise KeysFileError(f"{path}: cannot be locked: {error.strerror}") from error
