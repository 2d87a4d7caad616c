"""Time limits of what is in flight: called once, not before the time, and not for a process that stood still."""

import asyncio
import socket
import time

from app.dataplane.deadlines import TICK_S, Deadlines
from tests.app.conftest import soon


class Waiting:
    def __init__(self, limit_s):
        self.deadline_s = time.monotonic() + limit_s
        self.expired_s = []

    def expire(self):
        self.expired_s.append(time.monotonic())


async def test_what_is_late_is_told_once_and_no_longer_kept():
    deadlines, waiting, patient = Deadlines(), Waiting(0.3), Waiting(3600)
    deadlines.keep(waiting)
    deadlines.keep(patient)
    assert await soon(lambda: waiting.expired_s)
    assert waiting.expired_s[0] >= waiting.deadline_s
    assert deadlines.kept() == [patient]
    await asyncio.sleep(2 * TICK_S)
    assert len(waiting.expired_s) == 1
    assert not patient.expired_s


async def test_what_ended_is_not_told():
    deadlines, waiting, other = Deadlines(), Waiting(0), Waiting(0)
    deadlines.keep(waiting)
    deadlines.keep(other)
    deadlines.drop(waiting)
    assert await soon(lambda: other.expired_s)
    assert not waiting.expired_s
    assert len(deadlines) == 0


async def test_a_process_that_stood_still_reads_before_it_calls_anybody_late():
    deadlines, waiting = Deadlines(), Waiting(0.1)
    deadlines.keep(waiting)
    mine, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=mine)

    async def hears():
        await reader.read(1)
        waiting.deadline_s = time.monotonic() + 3600

    hearing = asyncio.create_task(hears())
    await asyncio.sleep(0)
    theirs.send(b"x")
    time.sleep(1)  # noqa: ASYNC251 - the process stands still: what was sent meanwhile is unread, and its time over
    await hearing
    await asyncio.sleep(3 * TICK_S)
    assert not waiting.expired_s
    writer.close()
    await writer.wait_closed()
    theirs.close()


async def test_who_is_late_after_the_standstill_too_is_told():
    deadlines, waiting = Deadlines(), Waiting(0.1)
    deadlines.keep(waiting)
    time.sleep(1)  # noqa: ASYNC251
    assert await soon(lambda: waiting.expired_s)


async def test_a_process_that_always_comes_late_puts_it_off_once():
    deadlines, waiting = Deadlines(), Waiting(0.1)
    deadlines.keep(waiting)
    for _ in range(2):
        await asyncio.sleep(0)
        time.sleep(1)  # noqa: ASYNC251
        await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert len(waiting.expired_s) == 1
