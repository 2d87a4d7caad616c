"""One try at one replica: its answer as a stream or in one piece. Knows the connection and the client; chooses neither.

An attempt that fails before the client got a byte says so by an exception, and the ladder may try elsewhere; after the
first byte it ends the client's stream visibly.
"""

import asyncio
from collections.abc import Callable
from time import monotonic

from app.dataplane.chat_stream import ChatStream
from app.dataplane.client import Client, ClientGone
from app.dataplane.deadlines import Deadlines
from app.errors import GatewayError, UpstreamFailed, UpstreamTimeout
from app.metrics.instruments import Buckets
from app.pools.connection import Connection
from app.pools.replica import Replica
from app.settings import Timeouts

MAX_WHOLE_ANSWER_BYTES = 256 * 1024 * 1024
NEVER_S = float("inf")


class Limits:
    """The time limits of attempts, and what keeps them."""

    __slots__ = ("deadlines", "first_byte_s", "idle_s", "total_s")

    def __init__(self, timeouts: Timeouts) -> None:
        self.deadlines = Deadlines()
        self.first_byte_s = timeouts.first_byte_s
        self.idle_s = timeouts.idle_s
        self.total_s = NEVER_S if timeouts.total_s is None else timeouts.total_s


class Attempt:
    """Sends one request and waits for the head of its answer. `finished` is done when the attempt is over."""

    __slots__ = (
        "_last_s",
        "_limits",
        "_over",
        "_timed_out",
        "client",
        "connection",
        "deadline_s",
        "finished",
        "replica",
        "sent_s",
        "started",
    )

    def __init__(self, replica: Replica, connection: Connection, client: Client, limits: Limits) -> None:
        self.replica = replica
        self.connection = connection
        self.client = client
        self.finished: asyncio.Future[None] = client.loop.create_future()
        self.sent_s = now = monotonic()
        self.started = False  # the body has begun, and the client may have bytes of it
        self._limits = limits
        self._timed_out = False
        self._over = False
        self._last_s = now + limits.total_s
        self.deadline_s = now + min(limits.first_byte_s, limits.total_s)
        limits.deadlines.keep(self)
        replica.in_flight += 1
        client.on_gone = self._client_gone

    async def head(self, request: bytes) -> int:
        """Send `request`; the answer's status. Raises ConnectionError, UpstreamTimeout or ClientGone."""
        try:
            await self.connection.send(request)
        except ConnectionError:
            self.release()
            if self.client.gone:
                raise ClientGone from None
            if self._timed_out:
                raise self._timeout() from None
            raise
        except BaseException:  # cancelled from outside: the server is going down
            self.connection.abort()
            self.release()
            raise
        return self.connection.status

    async def whole(self) -> bytes:
        """The answer's body in one piece. Raises UpstreamFailed, UpstreamTimeout or ClientGone."""
        whole = self.connection.take_whole()
        if whole is not None:
            self.release()
            return whole
        sink = _Parts(self)
        self.connection.attach(sink)
        await self.finished
        return sink.parts[0] if len(sink.parts) == 1 else b"".join(sink.parts)

    def took_bytes(self, now_s: float) -> None:
        """Some of the answer's body has come: from now on the idle limit holds."""
        self.started = True
        self.deadline_s = min(now_s + self._limits.idle_s, self._last_s)

    def give_up(self, error: Exception) -> None:
        """Abort the upstream; the attempt ends with `error`."""
        self.connection.abort()
        # While the head is awaited, `head` raises instead.
        if self.connection.status_known():
            self.release()
            if not self.finished.done():
                self.end_with(error)

    def end_with(self, error: Exception) -> None:
        """Finish with an error; an attempt whose client has bytes already tells it in its own way."""
        self.finished.set_exception(error)

    def expire(self) -> None:
        """The deadline has passed."""
        self._timed_out = True
        self.give_up(self._timeout())

    def release(self) -> None:
        """Give the connection back; further calls do nothing."""
        if not self._over:
            self._over = True
            self._limits.deadlines.drop(self)
            # The connection may serve another client next: this one must not reach it any more.
            self.client.forget()
            self.replica.in_flight -= 1
            self.replica.release(self.connection)

    def _timeout(self) -> UpstreamTimeout:
        which = "timeouts.idle_s" if self.started else "timeouts.first_byte_s"
        if self.deadline_s == self._last_s:
            which = "timeouts.total_s"
        return UpstreamTimeout(f"The backend took longer than {which} allows.")

    def _client_gone(self) -> None:
        self.give_up(ClientGone())


class _Parts:
    """Collects the body of an answer that comes in one piece."""

    __slots__ = ("_attempt", "_size", "parts")

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._size = 0
        self.parts: list[bytes] = []

    def body(self, data: bytes) -> None:
        self.parts.append(data)
        self._size += len(data)
        self._attempt.took_bytes(monotonic())
        if self._size > MAX_WHOLE_ANSWER_BYTES:
            self._attempt.give_up(UpstreamFailed("The backend's answer is too large."))

    def ended(self, error: Exception | None) -> None:
        attempt = self._attempt
        attempt.release()
        if not attempt.finished.done():
            if error is None:
                attempt.finished.set_result(None)
            else:
                attempt.finished.set_exception(UpstreamFailed("The backend broke off before the answer was complete."))


class StreamAttempt(Attempt):
    """Relays a stream, event by event, from the upstream's socket to the client's, without a task switch."""

    __slots__ = ("_head", "_last_token_s", "_stream", "first_answer_s", "first_token_s", "gaps")

    def begin(self, stream: ChatStream, head: Callable[[], bytes], gaps: Buckets) -> None:
        """Relay from now on. `head` gives the header lines when the first event is there: until then an error of
        the backend can still become a status, or another attempt."""
        self._stream = stream
        self._head = head
        self.gaps = gaps
        self.first_token_s = 0.0
        self.first_answer_s = 0.0
        self._last_token_s = 0.0
        self.client.on_slow = self._client_slow
        self.connection.attach(self)

    def body(self, data: bytes) -> None:
        stream = self._stream
        before = stream.answer_events + stream.reasoning_events
        out = stream.feed(data)
        now = monotonic()
        if not self.started:
            if not out:
                return
            if stream.error is not None:
                self.give_up(stream.error)
                return
            self.client.start(200, self._head())
        self.took_bytes(now)
        tokens = stream.answer_events + stream.reasoning_events - before
        if tokens:
            if self.first_token_s:
                self.gaps.observe((now - self._last_token_s) / tokens, tokens)
            else:
                self.first_token_s = now
            self._last_token_s = now
            if not self.first_answer_s and stream.answer_events:
                self.first_answer_s = now
        if stream.done:
            self.client.end(out)
            if not self.finished.done():
                self.finished.set_result(None)
        elif out:
            self.client.write(out)

    def ended(self, error: Exception | None) -> None:
        self.release()
        if self.finished.done():
            return
        if not self.started:
            self.finished.set_exception(UpstreamFailed("The backend broke off before the answer began."))
            return
        self.client.end(self._stream.finish())
        self.finished.set_result(None)

    def end_with(self, error: Exception) -> None:
        """A client that has part of the stream gets an error event; nobody else's answer is cut short in silence."""
        if self.started and isinstance(error, GatewayError):
            self.client.end(self._stream.fail(error))
            self.finished.set_result(None)
        else:
            self.finished.set_exception(error)

    def _client_slow(self, slow: bool) -> None:
        if slow:
            self.connection.pause()
        else:
            self.connection.resume()
