"""Health checks: asks every replica's health path, and its /metrics for its queue. Knows HTTP status; decides nothing
but up or down, and how long the queue is. Closes stale connections in passing."""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from time import monotonic
from weakref import WeakKeyDictionary

import httpx

from app.pools.http_clients import HttpClients
from app.pools.pool import Pool
from app.pools.queue_depth import QueueDepth, read_queue_depth
from app.pools.replica import Replica
from app.settings import Health

log = logging.getLogger("thinkgate.health")
DOUBTFUL_INTERVAL_S = 1.0  # for a replica that is down, or whose last check has failed
NO_METRICS_INTERVAL_S = 60.0


class _State:
    """What is kept of a replica between its checks."""

    __slots__ = ("busy", "checked_at_s", "failures", "load_at_s", "reported")

    def __init__(self) -> None:
        self.checked_at_s = self.load_at_s = 0.0
        self.failures = 0
        self.busy = False
        self.reported: bool | None = None


class HealthChecks:
    """Runs in the background from `start` to `stop`.

    `pools` and `leaving` (pools that are no longer configured, for as long as they have requests) are read anew at
    every turn: they may be live views. `changed(pool, replica)` is called after every check that found another state
    than the one before, `loaded(pool, replica, depth)` after every look at a queue.
    """

    def __init__(
        self,
        pools: Collection[Pool],
        settings: Health,
        changed: Callable[[Pool, Replica], None] = lambda _pool, _replica: None,
        transport: httpx.AsyncBaseTransport | None = None,
        loaded: Callable[[Pool, Replica, QueueDepth], None] = lambda _pool, _replica, _depth: None,
        leaving: Collection[Pool] = (),
    ) -> None:
        self._pools = pools
        self._leaving = leaving
        self.settings = settings
        self._changed = changed
        self._loaded = loaded
        self._clients = HttpClients(settings.timeout_s, transport)
        self._states: WeakKeyDictionary[Replica, _State] = WeakKeyDictionary()
        self._tasks: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Check every replica once, then go on checking in the background."""
        await self.check_all()
        self._task = asyncio.create_task(self._run(), name="health checks")

    async def stop(self) -> None:
        """End the background checks and close their connections."""
        tasks = [*self._tasks, *([self._task] if self._task is not None else [])]
        for task in tasks:
            task.cancel()
        for task in tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await self._clients.close()

    async def check_all(self) -> None:
        """One check of every replica, side by side."""
        await asyncio.gather(*(self._look(pool, replica, True) for pool in self._pools for replica in pool.replicas))

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(
                min(DOUBTFUL_INTERVAL_S, self.settings.interval_s, self.settings.load_interval_s or 1.0)
            )
            now_s = monotonic()
            for pool in [*self._pools, *(pool for pool in self._leaving if pool.in_flight or pool.waiting)]:
                for replica in pool.watched:
                    replica.drop_stale()
                    self._begin(pool, replica, now_s)

    def _begin(self, pool: Pool, replica: Replica, now_s: float) -> None:
        state = self._state(replica)
        doubtful = not replica.up or state.failures
        interval_s = min(DOUBTFUL_INTERVAL_S, self.settings.interval_s) if doubtful else self.settings.interval_s
        check = now_s - state.checked_at_s >= interval_s
        load = bool(self.settings.load_interval_s) and replica.up and now_s >= state.load_at_s
        if state.busy or not (check or load):
            return
        task = asyncio.get_running_loop().create_task(self._look(pool, replica, check))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, pool: Pool, replica: Replica, check: bool) -> None:
        state = self._state(replica)
        state.busy = True
        try:
            if check:
                await self._check(pool, replica, state)
            if replica.up and self.settings.load_interval_s and monotonic() >= state.load_at_s:
                await self._look_at_queue(pool, replica, state)
        finally:
            state.busy = False

    async def _check(self, pool: Pool, replica: Replica, state: _State) -> None:
        answer = await self._get(pool, replica, pool.settings.health_path)
        ok = answer is not None and answer.status_code == 200
        state.failures = 0 if ok else state.failures + 1
        # The first check has nothing to go by but itself.
        up = ok or (replica.up and state.reported is not None and state.failures < self.settings.down_after)
        replica.checked(up)
        state.checked_at_s = monotonic()
        if up != state.reported:
            if state.reported is not None or not up:
                log.warning("pool %s: replica %d is %s", pool.name, replica.place, "up" if up else "down")
            state.reported = up
            self._changed(pool, replica)

    async def _look_at_queue(self, pool: Pool, replica: Replica, state: _State) -> None:
        answer = await self._get(pool, replica, "/metrics")
        depth = read_queue_depth(answer.content) if answer is not None and answer.status_code == 200 else None
        if depth is None:
            replica.load_beyond, replica.depth = 0.0, None
            state.load_at_s = monotonic() + NO_METRICS_INTERVAL_S
            return
        replica.queue_seen(*depth)
        state.load_at_s = monotonic() + self.settings.load_interval_s
        self._loaded(pool, replica, depth)

    async def _get(self, pool: Pool, replica: Replica, path: str) -> httpx.Response | None:
        request = replica.http_request(path)
        request["headers"]["connection"] = "close"
        try:
            async with asyncio.timeout(self.settings.timeout_s):  # httpx's own limit is for each read
                return await self._clients.of(pool).get(**request)
        except (httpx.HTTPError, OSError, TimeoutError):
            return None

    def _state(self, replica: Replica) -> _State:
        state = self._states.get(replica)
        if state is None:
            state = self._states[replica] = _State()
        return state
