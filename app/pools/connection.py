"""One HTTP/1.1 connection to a backend. Knows framing and backpressure; knows nothing about routing or SSE.

The answer's body goes to a sink straight from `data_received`, without a task switch: per chunk this is the largest
saving there is in Python (docs/benchmarks.md).
"""

import asyncio
from typing import Protocol

import httptools

from app.pools.answer_head import AnswerHead, KnownHeads

MAX_HEADER_BYTES = 64 * 1024
_NO_HEAD = AnswerHead(0, [])
_SIZES = {b"%x" % size: size for size in range(1, 4096)}
"""Chunk-size lines as servers write them; every other spelling is the parser's business."""


class ProtocolViolation(ConnectionError):
    """The backend sent something that is not HTTP, or broke off inside an answer."""


class Sink(Protocol):
    """Receives one answer, in order, straight from the event loop."""

    def head(self) -> None:
        """Status and headers are there; called once, unless the answer breaks off before."""
        ...

    def body(self, data: bytes, chunk: bytes = b"") -> None:
        """Some bytes of the body; `chunk` is the HTTP chunk that they came in, where they came in just one."""
        ...

    def ended(self, error: Exception | None) -> None:
        """The answer is complete, or broke off with `error`. Called once, and last."""
        ...


class Connection(asyncio.Protocol):
    """One request and answer at a time.

    Two shortcuts go past the parser, for what it has vouched for: an answer in one read whose head is known, and a read
    that is one whole chunk while the parser stands between two. Neither moves the parser: it goes on where it stood.
    """

    __slots__ = (
        "_between_chunks",
        "_body",
        "_complete",
        "_head_bytes",
        "_head_known",
        "_head_told",
        "_header_bytes",
        "_in_chunk",
        "_known",
        "_parser",
        "_reading",
        "_sink",
        "_transport",
        "closed",
        "head",
        "headers",
        "idle_since_s",
        "keep_alive",
        "received",
        "status",
    )

    def __init__(self, known: KnownHeads | None = None) -> None:
        self._known = known or KnownHeads()
        self._between_chunks = False
        self._in_chunk: bool | None = None  # None: no chunk has begun
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._sink: Sink | None = None
        self._body: list[bytes] = []
        self._head_known = False
        self._head_told = False
        self._complete = True
        self._reading = True
        self._header_bytes = self._head_bytes = 0
        self.closed = False
        self.keep_alive = True
        self.received = False  # any byte of the current answer
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.head = _NO_HEAD
        self.idle_since_s = 0.0

    # ------------------------------------------------------------------ what the gateway does

    def send(self, request: bytes, sink: Sink) -> None:
        """Write a whole request; its answer goes to `sink`."""
        assert self._transport is not None  # noqa: S101 - asyncio has called connection_made
        self._sink = sink
        self.received = self._complete = self._head_known = self._head_told = self._between_chunks = False
        if self.closed:  # after it was made and before it was used: nothing else would ever tell
            gone = ProtocolViolation("the backend closed the connection at once")
            asyncio.get_running_loop().call_soon(self._break, gone)
            return
        self._transport.write(request)

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
        """Drop the connection: the backend sees a client that left, and stops its work. The sink hears no more."""
        self._sink = None
        self.closed = True
        if self._transport is not None:
            self._transport.abort()

    def reusable(self) -> bool:
        """After an answer: may another request be sent on this connection?"""
        return self._complete and self.keep_alive and not self.closed

    # ------------------------------------------------------------------ asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        sink = self._sink
        if sink is None or self._complete:  # bytes that nobody asked for
            self.abort()
            return
        if self._between_chunks:
            at = data.find(b"\r\n", 1, 6)
            if at > 0 and _SIZES.get(data[:at]) == len(data) - at - 4 and data.endswith(b"\r\n"):
                sink.body(data[at + 2 : -2], data)
                return
        key = b""
        if not self.received:
            self.received = True
            key, head, at = self._known.find(data)
            if head is not None:
                self._serve(sink, head, data[at:])
                return
            self.headers = []
            self._in_chunk = None
            self._header_bytes = self._head_bytes = 0
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade, ProtocolViolation) as error:
            self._break(ProtocolViolation(f"not HTTP: {error}"))
            return
        if not self._head_known:
            self._head_bytes += len(data)  # a header without an end never reaches `on_header`
            if self._head_bytes > MAX_HEADER_BYTES:
                self._break(ProtocolViolation("the answer's headers are too large"))
        else:
            self._between_chunks = self._in_chunk is False and not self._is_complete() and data.endswith(b"\r\n")
            if not self._head_told:
                self._head_told = True
                self.head = AnswerHead(self.status, self.headers)
                if key and self._is_complete() and self.keep_alive:
                    self._known.keep(key, self.head)
                sink.head()
            parts = self._body
            if parts and self._takes(sink):
                self._body = []
                sink.body(parts[0] if len(parts) == 1 else b"".join(parts))
            if self._is_complete() and self._takes(sink):
                self._sink = None
                sink.ended(None)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._sink is None:
            return
        if self._head_known and not self._framed():  # the end of the connection is the end of the body
            sink, self._sink, self._complete = self._sink, None, True
            sink.ended(None)
        else:
            self._break(exc or ProtocolViolation("the backend closed the connection"))

    # ------------------------------------------------------------------ httptools callbacks

    def on_message_begin(self) -> None:
        if self._complete:  # which of the two was meant, nobody knows
            raise ProtocolViolation("more than one answer")

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
        self._head_known = True

    def on_body(self, data: bytes) -> None:
        self._body.append(data)

    def on_chunk_header(self) -> None:
        self._in_chunk = True

    def on_chunk_complete(self) -> None:
        self._in_chunk = False

    def on_message_complete(self) -> None:
        if self._head_known:
            self._complete = True

    # ------------------------------------------------------------------ inside

    def _serve(self, sink: Sink, head: AnswerHead, body: bytes) -> None:
        """A whole answer with a known head."""
        self._head_known = self._head_told = self._complete = True
        self.head = head
        self.status = head.status
        self.headers = head.headers
        sink.head()
        if body and self._takes(sink):
            sink.body(body)
        if self._takes(sink):
            self._sink = None
            sink.ended(None)

    def _is_complete(self) -> bool:
        return self._complete

    def _takes(self, sink: Sink) -> bool:
        """The sink may have aborted the connection in a callback."""
        return self._sink is sink

    def _framed(self) -> bool:
        return any(k in (b"content-length", b"transfer-encoding") for k, _ in self.headers)

    def _break(self, error: Exception) -> None:
        self.keep_alive = False
        sink = self._sink
        self.abort()
        if sink is not None:
            sink.ended(error)
