"""A time limit that a process which stood still does not mistake for the other side's silence. Knows a clock."""

import asyncio
from collections.abc import Coroutine
from typing import TypeVar

T = TypeVar("T")

STOOD_STILL_S = 0.5
GRACE_S = 0.25


async def within(limit_s: float, work: Coroutine[object, object, T]) -> T:
    """What `work` gives, or TimeoutError after `limit_s` seconds.

    A timer and the sockets of a loop that stood still come due in the same turn, and `asyncio.timeout` would cancel
    what is done already but for being looked at. A limit that is told more than half a second late is told a second
    time, once what has come is read.
    """
    loop = asyncio.get_running_loop()
    task = loop.create_task(work)
    due_s = loop.time() + limit_s
    try:
        await asyncio.wait({task}, timeout=limit_s)
        if not task.done() and loop.time() - due_s >= STOOD_STILL_S:
            await asyncio.wait({task}, timeout=GRACE_S)
        if not task.done():
            raise TimeoutError
        return task.result()
    finally:
        task.cancel()
