"""All valid keys now: those of the configuration and those of the keys file, which is read again when it changes; and
who issues tokens. Knows files and time; knows no request and no route.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from app.keys.file import KeysFileError, StoredKey, read_keys
from app.keys.settings import Auth, Rights

if TYPE_CHECKING:
    from app.oidc.issuer import Issuer

log = logging.getLogger("thinkgate.keys")
POLL_S = 1.0
Grant = tuple[str, Rights]
"""A key's digest and what it may do."""


class Keyring:
    """`changed` is called when other keys are valid than before. A file that cannot be read leaves the keys as they
    were, and says so in the log; at the start it raises KeysFileError."""

    def __init__(
        self, auth: Auth | None, changed: Callable[[], None] = lambda: None, issuer: "Issuer | None" = None
    ) -> None:
        self.changed = changed
        self.issuer = issuer
        self._auth = auth
        self._path = Path(auth.keys_file) if auth is not None and auth.keys_file else None
        self._stored: list[StoredKey] = []
        self._seen: object = None
        self._next_expiry: datetime | None = None
        self._looked = datetime.min.replace(tzinfo=UTC)
        self._task: asyncio.Task[None] | None = None
        if self._path is not None:
            self._seen = _stamp(self._path)
            self._stored = read_keys(self._path)
            self._set_expiry()

    def grants(self) -> list[Grant]:
        """What each valid key may do. The configuration's word counts where both have a key."""
        now = datetime.now(UTC)
        own: Sequence[Grant] = [(key.digest, key) for key in (self._auth.keys if self._auth is not None else ())]
        known = {digest for digest, _ in own}
        return [*own, *((k.digest, k) for k in self._stored if k.digest not in known and not k.expired(now))]

    def succeed(self, old: "Keyring") -> None:
        """Go on, after a reload, with what the old one knows of the same issuer."""
        if self.issuer is not None and old.issuer is not None:
            self.issuer.succeed(old.issuer)

    def start(self) -> None:
        """Begin to watch the file, and the issuer's keys."""
        if self.issuer is not None:
            self.issuer.start()
        if self._path is not None:
            self._task = asyncio.create_task(self._watch(), name="keys file")

    async def stop(self) -> None:
        """Watch no longer."""
        if self.issuer is not None:
            await self.issuer.stop()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
            self._task = None

    def poll(self) -> None:
        """Look once whether the file has changed, or a key has expired, or has not after all: a clock that was wrong is
        set back."""
        assert self._path is not None  # noqa: S101 - only watched where there is one
        stamp = _stamp(self._path)
        if stamp != self._seen:
            self._seen = stamp
            try:
                self._stored = read_keys(self._path)
            except KeysFileError as error:
                log.error("%s; the keys stay as they were", error)
                return
            self._set_expiry()
            log.warning("keys file: read again, %d keys", len(self._stored))
            self.changed()
            return
        before, now = self._looked, datetime.now(UTC)
        self._looked = now
        if now < before or (self._next_expiry is not None and self._next_expiry <= now):
            self._set_expiry()
            self.changed()

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(POLL_S)
            self.poll()

    def _set_expiry(self) -> None:
        now = datetime.now(UTC)
        ahead = [key.expires for key in self._stored if key.expires is not None and key.expires > now]
        self._next_expiry = min(ahead, default=None)


def _stamp(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
