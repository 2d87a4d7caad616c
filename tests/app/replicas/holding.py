"""A pool of two replicas, and a backend that holds its answers."""

import asyncio

from tests.app.scripted_upstream import ScriptedUpstream, whole

NO_FALLBACK = {"default": {"fallback": False}}


def two(first: ScriptedUpstream, second: ScriptedUpstream, **more):
    return {"fast": {"model": "instruct", "replicas": [first.url, second.url], **more}}


class Hold:
    """A script that waits until it is let go."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.reached = 0

    async def __call__(self, turn) -> bool:
        self.reached += 1
        await self.go.wait()
        return bool(await whole()(turn))
