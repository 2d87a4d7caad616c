"""How many requests a pool takes at once, and who gets a place that becomes free. Knows counts; knows no replica.

Used only by pools that have a limit: the others never make one.
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

from app.errors import PoolFull
from app.pools.queue import FairQueue


class Entrant(Protocol):
    """A request that wants a place. It is told its fate from the event loop, never from inside its own call."""

    tenant: str

    def admitted(self) -> None:
        """It has waited and now has a place: `leave` gives it back."""
        ...

    def turned_away(self, error: PoolFull) -> None:
        """Another one waits in its stead."""
        ...


class Places:
    """`capacity` says how many places there are now; `name` is the pool's, for messages."""

    def __init__(self, name: str, capacity: Callable[[], int], queue_size: int) -> None:
        self._name = name
        self._queue: FairQueue[Entrant] = FairQueue(queue_size)
        self.capacity = capacity
        self.in_use = 0

    @property
    def waiting(self) -> int:
        """Requests that wait."""
        return len(self._queue)

    def resize(self, capacity: Callable[[], int], queue_size: int) -> None:
        """Other limits from now on; who waits goes on waiting."""
        self.capacity = capacity
        self._queue.capacity = queue_size
        self.fill()

    def take(self) -> bool:
        """A place for who does not wait; True where there was one. `leave` gives it back."""
        if self._queue or self.in_use >= self.capacity():
            return False
        self.in_use += 1
        return True

    def enter(self, entrant: Entrant, guest: bool = False) -> bool:
        """True: it has a place. False: it waits. Raises PoolFull where it cannot even wait.

        A guest has come because another pool could not answer: half of the queue is not for guests.
        """
        if self.take():
            return True
        if guest and 2 * len(self._queue) >= self._queue.capacity:
            raise self.full()
        displaced = self._queue.push(entrant)
        if displaced is entrant:
            raise self.full()
        if displaced is not None:
            asyncio.get_running_loop().call_soon(displaced.turned_away, self.full())
        self.fill()
        return False

    def full(self) -> PoolFull:
        """The error of a request that gets no place."""
        return PoolFull(f"The pool `{self._name}` is full, and so is its queue. Try again later.", retry_after_s=1)

    def give_up(self, entrant: Entrant) -> bool:
        """It no longer waits; False where it had got a place already and has to leave it."""
        return self._queue.remove(entrant)

    def leave(self) -> None:
        """A place becomes free."""
        self.in_use -= 1
        self.fill()

    def fill(self) -> None:
        """Let in those for whom there are places."""
        if not self._queue:
            return
        capacity, loop = self.capacity(), asyncio.get_running_loop()
        while self.in_use < capacity and (entrant := self._queue.pop()) is not None:
            self.in_use += 1
            loop.call_soon(entrant.admitted)
