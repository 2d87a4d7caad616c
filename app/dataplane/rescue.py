"""A second answer on its way to a client whose first one was all thinking. Knows the client; the answer is asked for
in second_answer.py, and put together in unanswered.py.

It runs when the first answer's connection has been given back, and listens for the client in the exchange's place.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Protocol

from app.dataplane.client import NOBODY, Client
from app.dataplane.second_answer import End
from app.errors import GatewayError

log = logging.getLogger("thinkgate")


class Rescued(Protocol):
    """The exchange that waits for a second answer."""

    client: Client
    phase: str

    def client_gone(self) -> None:
        """The client has left; nothing more is to be done but counting."""
        ...


class Rescue:
    """Runs one second answer. `say` gets its texts as they come, `done` its end, or None where it failed."""

    def __init__(
        self,
        exchange: Rescued,
        answer: AsyncGenerator[str | End, None],
        say: Callable[[str], None],
        done: Callable[[End | None], None],
        limit_s: float,
    ) -> None:
        self._exchange = exchange
        self._say = say
        self._done = done
        self._may_write = asyncio.Event()
        self._may_write.set()
        exchange.phase = "rescuing"
        exchange.client.listener = self
        self._task = exchange.client.loop.create_task(self._run(answer, limit_s))

    def client_gone(self) -> None:
        """Called by the client."""
        self._task.cancel()
        self._exchange.client_gone()

    def gateway_stops(self, error: GatewayError) -> None:
        """Called by the client: it keeps the answer that it would have had."""
        self._task.cancel()
        self._exchange.client.listener = NOBODY
        self._done(None)

    def client_slow(self, slow: bool) -> None:
        """Called by the client: what it does not take is not read either."""
        if slow:
            self._may_write.clear()
        else:
            self._may_write.set()

    async def _run(self, answer: AsyncGenerator[str | End, None], limit_s: float) -> None:
        end: End | None = None
        try:
            limit = None if limit_s == float("inf") else max(0.0, limit_s)
            async with asyncio.timeout(limit), aclosing(answer):
                async for piece in answer:
                    if isinstance(piece, End):
                        end = piece
                    else:
                        self._say(piece)
                        await self._may_write.wait()
        except Exception as error:  # whatever it is: the client keeps the answer that it would have had
            log.warning("no second answer: %s", type(error).__name__)
        self._exchange.client.listener = NOBODY
        self._done(end)
