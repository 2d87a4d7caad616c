"""Told of every request that is over, and of each that is sent. Knows where both are written; decides nothing.

A gateway without access log and traces has none: then a request pays for one comparison where it would be told.
"""

from time import time
from typing import TYPE_CHECKING

from app.dataplane.request_head import RequestHead
from app.observing.finished import Over, over
from app.observing.outbox import Outbox
from app.observing.trace import Trace
from app.pools.replica import Replica

if TYPE_CHECKING:
    from app.dataplane.exchange import Exchange


class Observer:
    """`lines` and `traces` may each be missing; `sample` is the share of traces kept that begin here."""

    def __init__(self, lines: Outbox[Over] | None, traces: Outbox[Over] | None, sample: float = 1.0) -> None:
        self._lines = lines
        self._traces = traces
        self._sample = sample

    def forwarded(self, exchange: "Exchange", head: RequestHead, replica: Replica) -> bytes:
        """The client's header lines for a replica, W3C's trace context among them."""
        if self._traces is None:
            return head.forwarded()
        trace = exchange.trace
        if trace is None:
            trace = exchange.trace = Trace(head, self._sample)
        return trace.forwarded(head, exchange.plan.pool.name, replica)

    def over(self, exchange: "Exchange", head: RequestHead, api: str, status: int) -> None:
        """A request got `status`, and nothing more will happen to it."""
        trace = exchange.trace
        if trace is None and self._traces is not None:
            trace = Trace(head, self._sample)
        told = over(exchange, head, api, status, trace)
        if self._lines is not None:
            self._lines.append(told)
        if self._traces is not None and trace is not None and trace.sampled:
            self._traces.append(told)

    def turned_away(self, path: str, status: int) -> None:
        """A request was refused before anything was known of it but its path: its key was not good, or used up."""
        if self._lines is not None:
            self._lines.append(Over(time(), 0.0, 0.0, "none", path, "", status, b"", "", 0.0, None))

    def start(self) -> None:
        """Begin to write."""
        for outbox in (self._lines, self._traces):
            if outbox is not None:
                outbox.start()

    async def stop(self) -> None:
        """Write what waits, and end."""
        for outbox in (self._lines, self._traces):
            if outbox is not None:
                await outbox.stop()
