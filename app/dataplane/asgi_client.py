"""A client behind any ASGI server: `receive` and `send`, driven without tasks. Knows no upstream.

Works with any ASGI server; with uvicorn `send` completes at once unless the client reads slowly.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, MutableMapping
from time import monotonic
from typing import Any

from app.dataplane.client import NOBODY, ClientGone, Headers, Listener
from app.dataplane.driven import Driven
from app.dataplane.headers import headers_of
from app.errors import RequestTimeout, TooLarge

MIN_BODY_BYTES_PER_S = 1024
"""A part now and then keeps no connection for ever: the whole body has to come at some rate as well."""
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


async def read_body(receive: Receive, headers: Headers, limit: int, timeout_s: float) -> bytes:
    """The request's whole body; raises TooLarge, RequestTimeout or ClientGone."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes (server.max_body_bytes).")
    message = await receive()
    body: bytes = message.get("body", b"")
    if message["type"] == "http.disconnect":
        raise ClientGone
    if not message.get("more_body"):
        if len(body) > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes (server.max_body_bytes).")
        return body
    parts, size = [body], len(body)
    begun_s = monotonic()
    while message.get("more_body"):
        left_s = begun_s + timeout_s + size / MIN_BODY_BYTES_PER_S - monotonic()
        try:
            async with asyncio.timeout(min(timeout_s, left_s)):
                message = await receive()
        except TimeoutError:
            text = f"The request body did not come in time (server.body_timeout_s: {timeout_s:g} s)."
            raise RequestTimeout(text) from None
        if message["type"] == "http.disconnect":
            raise ClientGone
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > limit:
            raise TooLarge(f"The request body is larger than {limit} bytes (server.max_body_bytes).")
    return b"".join(parts)


class AsgiClient:
    """Implements `Client` over ASGI."""

    __slots__ = ("_busy", "_queue", "_receive", "_send", "_watch", "complete", "finished", "gone", "listener", "loop")

    def __init__(self, receive: Receive, send: Send, loop: asyncio.AbstractEventLoop) -> None:
        self._receive = receive
        self._send = send
        self.loop = loop
        self._queue: deque[Message] = deque()
        self._busy = False
        self._watch: Driven | None = None
        self.gone = False
        self.complete = False
        self.finished: asyncio.Future[None] = loop.create_future()
        """Done when the answer is whole, or the client gone."""
        self.listener: Listener = NOBODY

    def watch(self) -> None:
        """Begin to watch for the client's leaving; call once the request's body has been read."""
        self._watch = Driven(self._receive(), self._received, self.loop)  # type: ignore[arg-type]

    def start(self, status: int, lines: bytes, length: int | None = None) -> None:
        """Send the answer's head."""
        headers = headers_of(lines)
        if length is not None:
            headers.append((b"content-length", b"%d" % length))
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes, chunk: bytes = b"") -> None:
        """Send a part of the body."""
        self._put({"type": "http.response.body", "body": data, "more_body": True})

    def end(self, data: bytes = b"") -> None:
        """Send the last part."""
        self._put({"type": "http.response.body", "body": data})

    def abort(self) -> None:
        """Leave the answer unfinished: the server closes the connection, since it has promised more."""
        self.gone = True
        self._queue.clear()
        self._finish()

    def close(self) -> None:
        """Stop watching; call when the exchange is over."""
        if self._watch is not None:
            self._watch.cancel()

    def _put(self, message: Message) -> None:
        if self.gone:
            return
        if self._busy:
            self._queue.append(message)
            return
        coroutine: Any = self._send(message)
        try:  # the common case, without the help of Driven: send() completes at once
            waits_for = coroutine.send(None)
        except StopIteration:
            self._note(message)
        except Exception:  # the server refused: the connection is gone
            self._leave()
        else:
            self._busy = True
            self.listener.client_slow(True)
            Driven(coroutine, lambda _, error: self._sent(message, error), self.loop, waits_for)

    def _sent(self, message: Message, error: BaseException | None) -> None:
        self._busy = False
        if error is not None:
            self._leave()
            return
        self._note(message)
        while self._queue and not self._busy and not self.gone:
            self._put(self._queue.popleft())
        if not self._busy and not self.gone:
            self.listener.client_slow(False)

    def _note(self, message: Message) -> None:
        if message["type"] == "http.response.body" and not message.get("more_body"):
            self.complete = True
            self._finish()

    def _received(self, message: Message | None, error: BaseException | None) -> None:
        if error is not None or message is None or message["type"] == "http.disconnect":
            if not self.complete:
                self._leave()
        else:  # bytes after the body: none are due, watch on
            self.loop.call_soon(self.watch)

    def _leave(self) -> None:
        if not self.gone:
            self.gone = True
            self._queue.clear()
            self._finish()
            self.listener.client_gone()

    def _finish(self) -> None:
        if not self.finished.done():
            self.finished.set_result(None)
