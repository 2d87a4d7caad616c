"""A time limit, and a process that stands still."""

import asyncio
import socket
import time

import pytest

from app.pools.time_limit import within


async def test_what_is_done_in_time_is_given():
    async def work():
        await asyncio.sleep(0)
        return 7

    assert await within(30, work()) == 7


async def test_an_error_of_the_work_is_its_own():
    async def work():
        raise ConnectionRefusedError

    with pytest.raises(ConnectionRefusedError):
        await within(30, work())


async def test_what_never_ends_is_cancelled():
    ended = asyncio.Event()

    async def work():
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    with pytest.raises(TimeoutError):
        await within(0.05, work())
    await asyncio.wait_for(ended.wait(), 30)


async def test_whoever_waits_and_leaves_takes_the_work_along():
    begun, ended = asyncio.Event(), asyncio.Event()

    async def work():
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    waiting = asyncio.create_task(within(30, work()))
    await begun.wait()
    waiting.cancel()
    await asyncio.wait_for(ended.wait(), 30)


async def test_a_process_that_always_comes_late_puts_it_off_once():
    stopped = asyncio.Event()

    async def stands_still():
        while not stopped.is_set():
            time.sleep(0.7)  # noqa: ASYNC251
            await asyncio.sleep(0)

    standing = asyncio.create_task(stands_still())
    begun_s = time.monotonic()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(within(0.1, asyncio.Event().wait()), 30)
    assert time.monotonic() - begun_s < 20
    stopped.set()
    await standing


async def test_a_connection_made_while_the_process_stood_still_is_made():
    with socket.create_server(("127.0.0.1", 0)) as server:
        for _ in range(5):
            opening = asyncio.create_task(within(0.2, asyncio.open_connection(*server.getsockname())))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            time.sleep(0.9)  # noqa: ASYNC251 - the process stands still
            _, writer = await opening
            writer.close()
            await writer.wait_closed()
