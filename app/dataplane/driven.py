"""Run a coroutine from callbacks, without a task. Knows futures; knows nothing about HTTP.

`asyncio.Task` costs several microseconds and a turn of the event loop; ASGI's `send` usually finishes at once, and
`receive` waits on one future, so both are driven by hand.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any


class Driven:
    """Runs `coroutine`; `done(result, error)` is called when it ends, at once or later from the loop.

    With `waits_for` the coroutine has been started already, and waits for that future.
    """

    __slots__ = ("_coroutine", "_done", "_loop", "finished")

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        done: Callable[[Any, BaseException | None], None],
        loop: asyncio.AbstractEventLoop,
        waits_for: Any = None,
    ) -> None:
        self._coroutine = coroutine
        self._done = done
        self._loop = loop
        self.finished = False
        if waits_for is None:
            self._step(None)
        else:
            self._wait(waits_for)

    def _step(self, _: object) -> None:
        if self.finished:
            return
        try:
            waits_for = self._coroutine.send(None)
        except StopIteration as stop:
            self.finished = True
            self._done(stop.value, None)
        except BaseException as error:  # handed on, whatever it is
            self.finished = True
            self._done(None, error)
        else:
            self._wait(waits_for)

    def _wait(self, waits_for: Any) -> None:
        if waits_for is None:  # a bare yield: go on in the next turn
            self._loop.call_soon(self._step, None)
        else:
            waits_for._asyncio_future_blocking = False
            waits_for.add_done_callback(self._step)

    def cancel(self) -> None:
        """Close the coroutine where it waits; `done` is not called."""
        if not self.finished:
            self.finished = True
            self._coroutine.close()
