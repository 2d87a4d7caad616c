"""One HTTP/1.1 connection to a backend. Knows framing and backpressure; knows nothing about routing or SSE.

The answer's body goes to a sink straight from `data_received`, without a task switch: per chunk this is the largest
saving there is in Python (docs/benchmarks.md).
"""

import asyncio
from collections.abc import Callable
from typing import Protocol

import httptools

MAX_HEADER_BYTES = 64 * 1024


class ProtocolViolation(ConnectionError):
    """The backend sent something that is not HTTP, or broke off inside an answer."""


class Sink(Protocol):
    """Receives an answer's body. Called from the event loop, never after `ended`."""

    def body(self, data: bytes) -> None:
        """Some bytes of the body, in order."""
        ...

    def ended(self, error: Exception | None) -> None:
        """The body is complete, or broke off with `error`. Called exactly once."""
        ...


class Connection(asyncio.Protocol):
    """One answer at a time: `send` a request, await the head, then `attach` a sink for the body.

    `on_free` is called when an answer ended in a state that allows another request.
    """

    __slots__ = (
        "_body",
        "_ended",
        "_head",
        "_header_bytes",
        "_loop",
        "_parser",
        "_reading",
        "_sink",
        "_transport",
        "busy",
        "closed",
        "headers",
        "idle_since_s",
        "keep_alive",
        "last_byte_s",
        "on_lost",
        "received",
        "status",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sink: Sink | None = None
        self._body: list[bytes] = []
        self._head: asyncio.Future[None] | None = None
        self._ended = False
        self._reading = True
        self._header_bytes = 0
        self.busy = False
        self.closed = False
        self.keep_alive = True
        self.received = False  # any byte of the current answer
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.idle_since_s = 0.0
        self.last_byte_s = 0.0
        self.on_lost: Callable[[Connection], None] | None = None

    # ------------------------------------------------------------------ what the gateway does

    def send(self, request: bytes) -> asyncio.Future[None]:
        """Write a whole request; the future is done when the answer's head is there, or fails with ConnectionError."""
        assert self._transport is not None  # noqa: S101 - asyncio has called connection_made
        self.busy = True
        self.received = self._ended = False
        self.headers = []
        self._header_bytes = 0
        self._sink = None
        self._body = []
        self._head = self._loop.create_future()
        self._transport.write(request)
        return self._head

    def attach(self, sink: Sink) -> None:
        """From now on the body goes to `sink`; what has come already goes first."""
        if self._body:
            data, self._body = self._body, []
            sink.body(data[0] if len(data) == 1 else b"".join(data))
        if self._ended:
            sink.ended(None)
        elif self.closed:
            sink.ended(ProtocolViolation("the backend closed the connection"))
        else:
            self._sink = sink

    def take_whole(self) -> bytes | None:
        """The body, if all of it came together with the head; else None, and a sink must be attached."""
        if not self._ended:
            return None
        parts, self._body = self._body, []
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def pause(self) -> None:
        """Stop reading: whoever takes the body is slow."""
        if self._reading and not self.closed and self._transport is not None:
            self._reading = False
            self._transport.pause_reading()

    def resume(self) -> None:
        """Read again."""
        if not self._reading and not self.closed and self._transport is not None:
            self._reading = True
            self._transport.resume_reading()

    def abort(self) -> None:
        """Drop the connection: the backend sees a client that left, and stops working for it."""
        self._sink = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        head = self._head
        if head is not None and not head.done():
            head.set_exception(ConnectionAbortedError("given up by the gateway"))

    def status_known(self) -> bool:
        """Has the head of the current answer come?"""
        return self._head is not None and self._head.done() and self._head.exception() is None

    def reusable(self) -> bool:
        """After an answer: may another request be sent on this connection?"""
        return self._ended and self.keep_alive and not self.closed

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if not self.busy:  # bytes that nobody asked for
            self.abort()
            return
        self.received = True
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ProtocolViolation) as error:
            self._break(ProtocolViolation(f"not HTTP: {error}"))
            return
        sink = self._sink
        if sink is None:
            # Nobody takes the body yet (or ever): do not let it pile up.
            if len(self._body) > 64:
                self.pause()
            return
        if self._body:
            parts, self._body = self._body, []
            sink.body(parts[0] if len(parts) == 1 else b"".join(parts))
        if self._ended and self._sink is sink:
            self._sink = None
            sink.ended(None)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self.on_lost is not None:
            self.on_lost(self)
        if self.busy and not self._ended:
            until_close = self._sink is not None and not self.keep_alive and self._framed_by_close()
            if until_close:
                sink, self._sink, self._ended = self._sink, None, True
                if sink is not None:
                    sink.ended(None)
                return
            self._break(exc or ProtocolViolation("the backend closed the connection"))

    # ------------------------------------------------------------------ httptools callbacks

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > MAX_HEADER_BYTES:
            raise ProtocolViolation("the answer's headers are too large")
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:  # 1xx: the real head follows
            self.headers = []
            return
        self.keep_alive = self._parser.should_keep_alive()
        head = self._head
        if head is not None and not head.done():
            head.set_result(None)

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_message_complete(self) -> None:
        if self.status >= 200:
            self._ended = True

    # ------------------------------------------------------------------ inside

    def _framed_by_close(self) -> bool:
        return not any(k in (b"content-length", b"transfer-encoding") for k, _ in self.headers)

    def _break(self, error: Exception) -> None:
        self.keep_alive = False
        self.closed = True
        if self._transport is not None:
            self._transport.abort()
        head, sink, self._sink = self._head, self._sink, None
        if head is not None and not head.done():
            head.set_exception(error if isinstance(error, ConnectionError) else ProtocolViolation(str(error)))
        elif sink is not None:
            sink.ended(error)
