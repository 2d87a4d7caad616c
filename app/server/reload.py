"""Reading the configuration again while the gateway runs. Knows files and when; knows no part of the gateway.

A configuration that cannot be used is refused whole: the old one stays in force, and the log says why.
"""

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from app.config_file import ConfigError
from app.settings import Settings
from router.judges.base import Judge

log = logging.getLogger("thinkgate")
POLL_S = 1.0
Load = Callable[[], tuple[Settings, Judge]]
"""Reads everything anew; runs in a thread. Raises ConfigError."""


class Reloadable(Protocol):
    """Takes another configuration."""

    def apply(self, settings: Settings, judge: Judge) -> list[str]:
        """Use it from now on, as a whole or not at all; what still needs a restart. Raises ConfigError."""
        ...


def nothing() -> Path | None:
    """There is no second file."""
    return None


class Reloader:
    """Reloads when asked (SIGHUP), and when `watch` says so. A worker among several watches nothing itself: its
    supervisor does, and asks."""

    def __init__(self, target: Reloadable, load: Load, watch: "FileWatch | None") -> None:
        self._target = target
        self._load = load
        self._watch = watch
        self._wanted = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to watch. Call from the event loop's thread."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="reload")

    async def stop(self) -> None:
        """Watch no longer."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def request(self) -> None:
        """Reload soon, whether the file has changed or not."""
        self._wanted.set()

    async def reload(self) -> bool:
        """Reload now; whether the new configuration is in force."""
        if self._watch is not None:
            self._watch.taken()
        try:
            settings, judge = await asyncio.to_thread(self._load)
            for what in self._target.apply(settings, judge):
                log.warning("configuration: %s needs a restart; until then the old value stays", what)
        except ConfigError as error:
            log.error("configuration: refused, the old one stays in force: %s", error)
            return False
        except Exception as error:
            log.error("configuration: refused, the old one stays in force: %s", type(error).__name__, exc_info=error)
            return False
        log.warning("configuration: read again")
        return True

    async def _run(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(None if self._watch is None else POLL_S):
                    await self._wanted.wait()
            if self._wanted.is_set():
                self._wanted.clear()
                await self.reload()
            elif self._watch is not None and self._watch.changed():
                await self.reload()


class FileWatch:
    """Says when the file, or the one that `also` names at the time (the judge's card), has changed and then stayed the
    same from one look to the next."""

    def __init__(self, path: Path, also: Callable[[], Path | None] = nothing) -> None:
        self._path = path
        self._also = also
        self._seen = self._stamps()
        self._unsettled = False

    def taken(self) -> None:
        """The files are read now: what they are at this moment is no change."""
        self._seen = self._stamps()
        self._unsettled = False

    def changed(self) -> bool:
        """Look. A file that is away is being replaced."""
        stamp = self._stamps()
        if stamp is None:
            self._unsettled = False
        elif stamp != self._seen:
            self._unsettled, self._seen = True, stamp
        elif self._unsettled:
            self._unsettled = False
            return True
        return False

    def _stamps(self) -> object:
        """What a change of either file changes; None while one is being replaced."""
        own, also = _stamp(self._path), self._also()
        other = () if also is None else _stamp(also)
        return None if own is None or other is None else (own, other)


def _stamp(path: Path) -> object:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
