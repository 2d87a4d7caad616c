"""Health checks: asks every replica's /health in turn. Knows HTTP status; decides nothing but up or down."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable

import httpx

from app.pools.pool import Pool
from app.pools.replica import Replica
from app.settings import Health

log = logging.getLogger("thinkgate.health")


class HealthChecks:
    """Runs in the background from `start` to `stop`; `changed(pool, replica)` is called after every check."""

    def __init__(
        self,
        pools: Iterable[Pool],
        settings: Health,
        changed: Callable[[Pool, Replica], None],
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._pools = list(pools)
        self._settings = settings
        self._changed = changed
        self._client = httpx.AsyncClient(timeout=settings.timeout_s, transport=transport, trust_env=False)
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Check every replica once, then go on checking in the background."""
        await self.check_all()
        self._task = asyncio.create_task(self._run(), name="health checks")

    async def stop(self) -> None:
        """End the background checks and close their connections."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        await self._client.aclose()

    async def check_all(self) -> None:
        """One check of every replica, side by side."""
        await asyncio.gather(*(self._check(pool, replica) for pool in self._pools for replica in pool.replicas))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(self._settings.interval_s)
            await self.check_all()

    async def _check(self, pool: Pool, replica: Replica) -> None:
        try:
            answer = await self._client.get(replica.url + "/health", headers={"connection": "close"})
            up = answer.status_code == 200
        except (httpx.HTTPError, OSError):
            up = False
        if up != replica.up:
            log.warning("pool %s: replica %d is %s", pool.name, pool.replicas.index(replica), "up" if up else "down")
        replica.up = up
        self._changed(pool, replica)
