"""Requests that wait for a place in a pool, in turns between tenants. Knows who waits; knows no replica, no request.

Each tenant has a line of its own, and the lines are served in turns: who sends a thousand requests waits behind his
own, and nobody else does. The whole is bounded. Where it is full, the newcomer takes the place of the last one in the
longest line, if that is longer than his own would be; else he is turned away himself.
"""

from collections import OrderedDict
from typing import Generic, Protocol, TypeVar


class Waiting(Protocol):
    """What waits: it has a tenant."""

    tenant: str


W = TypeVar("W", bound=Waiting)


class FairQueue(Generic[W]):
    """First come, first served within a tenant; one after the other between tenants. Constant time, but for a push into
    a full queue, which looks for the longest line."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._lines: OrderedDict[str, OrderedDict[W, None]] = OrderedDict()  # the first line is the next to be served
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def push(self, waiting: W) -> W | None:
        """Let it wait; returns who has to go instead: None, another one, or itself."""
        line = self._lines.get(waiting.tenant)
        gone = None
        if self._count >= self.capacity:
            longest = max(self._lines.values(), key=len, default=None)
            if longest is None or len(longest) <= (0 if line is None else len(line)) + 1:
                return waiting
            gone = next(reversed(longest))
            self.remove(gone)
        if line is None:
            line = self._lines[waiting.tenant] = OrderedDict()
        line[waiting] = None
        self._count += 1
        return gone

    def pop(self) -> W | None:
        """The next one, or None."""
        if not self._lines:
            return None
        tenant, line = next(iter(self._lines.items()))
        waiting, _ = line.popitem(last=False)
        self._count -= 1
        if line:
            self._lines.move_to_end(tenant)
        else:
            del self._lines[tenant]
        return waiting

    def remove(self, waiting: W) -> bool:
        """It no longer waits; whether it did."""
        line = self._lines.get(waiting.tenant)
        if line is None or waiting not in line:
            return False
        del line[waiting]
        self._count -= 1
        if not line:
            del self._lines[waiting.tenant]
        return True
