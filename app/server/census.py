"""What all workers have counted together, those that have ended included. Knows their channels; starts and ends none.

Whichever worker is asked for metrics asks here, and here everybody is asked: the answer is the same whoever was asked.
A worker that does not report in time counts with what it said last.
"""

from collections.abc import Callable, Collection
from time import monotonic
from typing import Protocol

from app.metrics.totals import Family, add_up, exposition, lasting
from app.server.channel import Channel, Count, Totals

ROUND_LIMIT_S = 1.0
EVERY_S = 5.0
"""Reports are wanted this often even where nobody asks: it is as much as a killed worker's counts can lack."""


class Counted(Protocol):
    """A worker, as far as it matters here."""

    channel: Channel
    counted: list[Family]


class Census:
    """Rounds of questions. `workers` gives those that can answer; `replaced` counts those that others followed."""

    def __init__(self, workers: Callable[[], Collection[Counted]]) -> None:
        self._workers = workers
        self._departed: list[Family] = []
        self._awaited: set[int] = set()
        self._asking: list[Counted] = []
        self._next: list[Counted] = []
        self._until_s = self._due_s = 0.0
        self.replaced = 0

    def ask(self, worker: Counted) -> None:
        """A worker wants the totals. Reports of a round that runs may be older than its question: it gets the next."""
        self._next.append(worker)
        self._begin()

    def report(self, worker: Counted, families: list[Family]) -> None:
        """A worker has reported."""
        worker.counted = families
        self._awaited.discard(id(worker))
        self._end()

    def gone(self, worker: Counted) -> None:
        """A worker has ended; what it has counted stays."""
        self._departed = add_up([self._departed, lasting(worker.counted)])
        for line in (self._asking, self._next):
            if worker in line:
                line.remove(worker)
        self._awaited.discard(id(worker))
        self._end()

    def tick(self) -> None:
        """Let no round wait for ever, and begin one where none was for a while."""
        now = monotonic()
        if self._awaited and now >= self._until_s:
            self._awaited.clear()
            self._end()
        elif now >= self._due_s:
            self._begin(unasked=True)

    def _begin(self, *, unasked: bool = False) -> None:
        if self._awaited or not (self._next or unasked):
            return
        self._asking, self._next = self._next, []
        now = monotonic()
        self._until_s, self._due_s = now + ROUND_LIMIT_S, now + EVERY_S
        workers = self._workers()
        self._awaited = {id(worker) for worker in workers}
        for worker in workers:
            worker.channel.send(Count())

    def _end(self) -> None:
        if self._awaited:
            return
        if self._asking:
            text = exposition(self.totals()).decode()
            for worker in self._asking:
                worker.channel.send(Totals(text))
            self._asking = []
        self._begin()

    def totals(self) -> list[Family]:
        """By what everybody has reported last."""
        workers = self._workers()
        own = [
            _one(
                "thinkgate_workers",
                "Worker processes, those that only finish their last requests included.",
                "gauge",
                "",
                len(workers),
            ),
            _one("thinkgate_workers_replaced", "Workers that had to be replaced.", "counter", "_total", self.replaced),
        ]
        return add_up([*(worker.counted for worker in workers), self._departed, own])


def _one(name: str, text: str, kind: str, suffix: str, value: float) -> Family:
    return Family(name, text, kind, [(name + suffix, (), float(value))])
