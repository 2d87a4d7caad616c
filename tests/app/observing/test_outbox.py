"""The queue between requests and what is slow."""

import asyncio
import threading

from app.metrics.instruments import Tally
from app.observing.outbox import BATCH, Outbox, Undelivered
from tests.app.conftest import soon


async def test_all_of_it_comes_in_order_in_batches_and_at_the_end_at_once() -> None:
    got: list[list[int]] = []
    box: Outbox[int] = Outbox("test", lambda items: got.append(list(items)), Tally(), every_s=3600)
    for i in range(BATCH + 3):
        box.append(i)
    box.start()
    await box.stop()
    assert [len(batch) for batch in got] == [BATCH, 3]
    assert [i for batch in got for i in batch] == list(range(BATCH + 3))


async def test_what_finds_it_full_is_dropped_and_counted() -> None:
    dropped = Tally()
    release = threading.Event()
    got: list[int] = []

    def deliver(items: list[int]) -> None:
        release.wait(30)
        got.extend(items)

    box: Outbox[int] = Outbox("test", deliver, dropped, capacity=5, every_s=0.001)
    for i in range(8):
        box.append(i)
    assert dropped.value == 3
    box.start()
    release.set()
    await box.stop()
    assert got == [0, 1, 2, 3, 4]
    box.append(9)  # after the end
    assert dropped.value == 4


async def test_what_can_be_tried_again_is_and_what_cannot_is_counted() -> None:
    dropped = Tally()
    tries: list[list[str]] = []

    def deliver(items: list[str]) -> None:
        tries.append(list(items))
        if len(tries) < 3:
            raise Undelivered("not now", again=True)
        if items == ["bad"]:
            raise Undelivered("never", again=False)
        if items == ["bug"]:
            raise ZeroDivisionError

    box: Outbox[str] = Outbox("test", deliver, dropped, every_s=0.001)
    box.start()
    box.append("a")
    assert await soon(lambda: len(tries) == 3, 20)
    assert tries == [["a"]] * 3
    assert dropped.value == 0
    for word in ("bad", "bug", "b"):
        before = len(tries)
        box.append(word)
        assert await soon(lambda before=before: len(tries) > before, 20)
    await box.stop()
    assert tries[-1] == ["b"]
    assert dropped.value == 2


async def test_the_end_waits_for_no_delivery_that_hangs(monkeypatch) -> None:
    monkeypatch.setattr("app.observing.outbox.STOP_LIMIT_S", 0.05)
    release = threading.Event()
    box: Outbox[int] = Outbox("test", lambda _: release.wait(30) and None, Tally(), every_s=0.001)
    box.start()
    box.append(1)
    async with asyncio.timeout(10):
        await box.stop()
    release.set()
