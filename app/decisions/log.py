"""The decision log as requests and readers see it: a bounded queue in front of a store. Knows no SQL and no route."""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from app.decisions.feedback import Feedback, Given
from app.decisions.record import DecisionRecord
from app.decisions.savings import HourSum
from app.decisions.shadow import Shadow, ShadowSum
from app.decisions.store import DecisionStore, Query
from app.decisions.writer import BATCH_ROWS, Writer
from app.metrics.instruments import Counters

QUEUE_ROWS = 10_000
FLUSH_S = 1.0
_READ_WAITS_S = 2.0
READERS = 4
T = TypeVar("T")


class DecisionLog:
    """`append` is for the event loop, what reads and what keeps feedback is for other threads.

    Nothing here fails a request: where the store fails, decisions wait in memory, and where `capacity` of them wait the
    newest are dropped and counted (`dropped` by cause).
    """

    def __init__(
        self,
        store: DecisionStore,
        *,
        keep_days: float,
        store_prompts: bool,
        dropped: Counters,
        capacity: int = QUEUE_ROWS,
        flush_s: float = FLUSH_S,
    ) -> None:
        self.store_prompts = store_prompts
        self._store = store
        self._capacity = capacity
        self._queue: deque[DecisionRecord] = deque()
        self._full = dropped("queue_full")
        self._writer = Writer(
            self._queue, store, keep_s=keep_days * 86_400, flush_s=flush_s, refused=dropped("refused")
        )

        # Not the loop's own threads: those look up names, and must not wait behind a store that does not answer.
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="decision-log-reader")

    def start(self) -> None:
        """Begin to write; what was appended before is written too."""
        self._writer.start()

    async def stop(self) -> None:
        """Write what waits, and end."""
        self._readers.shutdown(wait=False, cancel_futures=True)
        await asyncio.to_thread(self._writer.stop)
        self._capacity = 0  # nobody writes any more: what still comes is counted as dropped

    def append(self, record: DecisionRecord) -> None:
        """Keep a record, soon. Never waits, never raises."""
        queue = self._queue
        waiting = len(queue)
        if waiting >= self._capacity:
            self._full.inc()
            return
        queue.append(record)
        if waiting == BATCH_ROWS:
            self._writer.wake()

    async def ask(self, method: Callable[..., T], *values: Any) -> T:
        """Call one of the methods below from the event loop. Raises as it does."""
        return await asyncio.get_running_loop().run_in_executor(self._readers, method, *values)

    def page(self, query: Query) -> list[DecisionRecord]:
        """A page of a tenant's decisions, those that still waited included. Raises StoreError or UnknownCursor."""
        self._writer.flush(_READ_WAITS_S)
        return self._store.page(query)

    def get(self, tenant: str, decision_id: str) -> DecisionRecord | None:
        """A tenant's decision, even if it still waited. Raises StoreError."""
        self._writer.flush(_READ_WAITS_S)
        return self._store.get(tenant, decision_id)

    def give(self, tenant: str, feedback: Feedback, idempotency: str) -> Given:
        """Keep feedback, even on a decision that still waited. Raises as the store does."""
        self._writer.flush(_READ_WAITS_S)
        return self._store.give(tenant, feedback, idempotency)

    def feedback(self, tenant: str, decision_id: str) -> list[Feedback]:
        """What was said of a tenant's decision, the oldest first. Raises StoreError."""
        return self._store.feedback(tenant, decision_id)

    def keep_shadow(self, tenant: str, shadow: Shadow) -> None:
        """Keep a tenant's shadow. Raises StoreError."""
        self._writer.flush(_READ_WAITS_S)  # the store is made at the first write
        self._store.keep_shadow(tenant, shadow)

    def shadow(self, tenant: str, decision_id: str) -> Shadow | None:
        """The shadow of a tenant's decision. Raises StoreError."""
        return self._store.shadow(tenant, decision_id)

    def shadow_sums(self, tenant: str, from_s: float, to_s: float) -> list[ShadowSum]:
        """A tenant's shadows of a time, by profile and mode. Raises StoreError."""
        return self._store.shadow_sums(tenant, from_s, to_s)

    def sums(self, tenant: str, first_hour: int, last_hour: int) -> list[HourSum]:
        """A tenant's sums over hours, those that still waited included. Raises StoreError."""
        self._writer.flush(_READ_WAITS_S)
        return self._store.sums(tenant, first_hour, last_hour)
