"""What the data plane needs of a client's connection. An interface: one implementation speaks ASGI, one the socket."""

import asyncio
from collections.abc import Callable
from typing import Protocol

Headers = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client left before it had its answer."""


class Client(Protocol):
    """Takes one answer, in order, and tells when the client is slow, or gone.

    `on_slow(True)` is called when the client stops taking bytes, `on_slow(False)` when it takes them again;
    `on_gone()` when it disconnects before the answer is whole.
    """

    loop: asyncio.AbstractEventLoop
    gone: bool
    on_gone: Callable[[], None]
    on_slow: Callable[[bool], None]

    def start(self, status: int, lines: bytes, length: int | None = None) -> None:
        """The answer's head: header lines, and the body's length in bytes where it is known."""
        ...

    def write(self, data: bytes) -> None:
        """A part of the body."""
        ...

    def end(self, data: bytes = b"") -> None:
        """The last part."""
        ...

    def check(self) -> None:
        """Raises ClientGone if the client has left."""
        ...

    def forget(self) -> None:
        """Tell nobody any more when the client is slow or gone."""
        ...


def nothing() -> None:
    """Nobody wants to know."""


def nothing_bool(_: bool) -> None:
    """Nobody wants to know."""
