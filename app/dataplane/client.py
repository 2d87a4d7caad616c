"""What the data plane needs of a client's connection. Interfaces: one client speaks ASGI, one the socket."""

import asyncio
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from app.dataplane.plan import Caller
    from app.dataplane.request_head import RequestHead

from app.errors import GatewayError

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

    def gateway_stops(self, error: GatewayError) -> None:
        """The gateway ends now: give the client the error, or end its answer with it."""
        ...


class Nobody:
    """The listener of a client for whom nobody is at work."""

    def client_gone(self) -> None:
        """Nobody wants to know."""

    def client_slow(self, slow: bool) -> None:
        """Nobody wants to know."""

    def gateway_stops(self, error: GatewayError) -> None:
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

    def write(self, data: bytes, chunk: bytes = b"") -> None:
        """A part of the body; `chunk` is the same as one HTTP chunk, where the caller has it."""
        ...

    def end(self, data: bytes = b"") -> None:
        """The last part."""
        ...

    def abort(self) -> None:
        """Break the connection off, so that the client cannot take what it has for the whole answer."""
        ...


class Endpoint(Protocol):
    """Answers a client's requests of one kind."""

    def answer(self, client: Client, head: "RequestHead", body: bytes, caller: "Caller") -> None:
        """Begin to answer a request whose key was good and whose body has been read. Never raises."""
        ...
