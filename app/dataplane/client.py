"""What the data plane needs of a client's connection. An interface: one implementation speaks ASGI, one the socket."""

import asyncio
from typing import Protocol

Headers = list[tuple[bytes, bytes]]


class ClientGone(Exception):
    """The client left before it had its answer."""


class Listener(Protocol):
    """Whoever is at work for a client."""

    def client_gone(self) -> None:
        """The client has disconnected before its answer was whole."""
        ...

    def client_slow(self, slow: bool) -> None:
        """The client has stopped taking bytes, or takes them again."""
        ...


class Nobody:
    """The listener of a client for whom nobody is at work."""

    def client_gone(self) -> None:
        """Nobody wants to know."""

    def client_slow(self, slow: bool) -> None:
        """Nobody wants to know."""


NOBODY = Nobody()


class Client(Protocol):
    """Takes one answer, in order, and tells its listener when the client is slow, or gone."""

    loop: asyncio.AbstractEventLoop
    gone: bool
    listener: Listener

    def start(self, status: int, lines: bytes, length: int | None = None) -> None:
        """The answer's head: header lines, and the body's length in bytes where it is known."""
        ...

    def write(self, data: bytes) -> None:
        """A part of the body."""
        ...

    def end(self, data: bytes = b"") -> None:
        """The last part."""
        ...
