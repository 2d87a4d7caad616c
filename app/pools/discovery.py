"""Which addresses a pool's names have: looked up again and again, as headless services need. Knows DNS; no health."""

import asyncio
import contextlib
import logging
import socket
from collections.abc import Awaitable, Callable, Collection
from urllib.parse import urlsplit

from app.pools.pool import Pool

log = logging.getLogger("thinkgate.discovery")
TICK_S = 1.0
LookUp = Callable[[str], Awaitable[list[str]]]


async def look_up(host: str) -> list[str]:
    """All addresses of a name, sorted. Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return sorted({str(address[0]) for *_, address in found})


class Discovery:
    """Runs in the background from `start` to `stop`, for the pools that have `resolve_s`. `pools` may be a live view.

    A name that cannot be looked up keeps the addresses it had: a resolver that fails must not empty a pool.
    """

    def __init__(self, pools: Collection[Pool], look_up: LookUp = look_up) -> None:
        self._pools = pools
        self._look_up = look_up
        self._due_s: dict[str, float] = {}
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Look all names up once, then go on in the background."""
        await self._turn(0.0)
        self._task = asyncio.create_task(self._run(), name="discovery")

    async def stop(self) -> None:
        """End the background look-ups."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def refresh(self) -> None:
        """Look all names up at the next turn: other pools may be configured."""
        self._due_s.clear()

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(min([TICK_S, *(p.settings.resolve_s for p in self._pools if p.settings.resolve_s)]))
            await self._turn(asyncio.get_running_loop().time())

    async def _turn(self, now_s: float) -> None:
        due = [p for p in self._pools if p.settings.resolve_s and now_s >= self._due_s.get(p.name, 0.0)]
        await asyncio.gather(*(self._resolve(pool) for pool in due))

    async def _resolve(self, pool: Pool) -> None:
        known: dict[str, list[str]] = {}
        for replica in pool.replicas:
            known.setdefault(replica.url, []).append(replica.address)
        found: list[tuple[str, str]] = []
        for url in pool.settings.replicas:
            try:
                addresses = await self._look_up(urlsplit(url).hostname or "")
            except OSError as error:
                log.warning("pool %s: a replica's name cannot be looked up: %s", pool.name, error.strerror or error)
                addresses = known.get(url, [""])
            found += [(url, address) for address in addresses]
        if pool.resolved(found):
            log.warning("pool %s: %d replicas by name", pool.name, len(pool.replicas))
        self._due_s[pool.name] = asyncio.get_running_loop().time() + pool.settings.resolve_s
