"""One try at one replica: its answer as a stream or in one piece. Knows the connection and the client; chooses neither.

An attempt that fails before the client got a byte says so by an exception, and the ladder may try elsewhere; after the
first byte it ends the client's stream visibly.
"""

import asyncio
import time
from collections.abc import Callable

from app.dataplane.chat_stream import ChatStream
from app.dataplane.client_side import ClientGone, ClientSide, Headers
from app.dataplane.watchdog import Watchdog
from app.errors import GatewayError, UpstreamFailed, UpstreamTimeout
from app.metrics.gaps import Gaps
from app.pools.connection import Connection
from app.pools.replica import Replica
from app.settings import Timeouts

MAX_WHOLE_ANSWER_BYTES = 256 * 1024 * 1024


class Attempt:
    """Sends one request and waits for the head of its answer. `finished` is done when the attempt is over."""

    def __init__(self, replica: Replica, connection: Connection, client: ClientSide, timeouts: Timeouts) -> None:
        loop = asyncio.get_running_loop()
        self.replica = replica
        self.connection = connection
        self.client = client
        self.finished: asyncio.Future[None] = loop.create_future()
        self.sent_s = time.perf_counter()
        self.first_byte_s = 0.0
        self._timeouts = timeouts
        self._timed_out = False
        self._watchdog = Watchdog(loop, timeouts.first_byte_s, self._expired)
        self._total = None if timeouts.total_s is None else loop.call_later(timeouts.total_s, self._expired)
        self._over = False
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
        sink = _Parts(self)
        self.connection.attach(sink)
        await self.finished
        return sink.parts[0] if len(sink.parts) == 1 else b"".join(sink.parts)

    def took_bytes(self) -> None:
        """Some of the answer's body has come: from now on the idle limit holds."""
        if not self.first_byte_s:
            self.first_byte_s = time.perf_counter()
            self._watchdog.relimit(self._timeouts.idle_s)
        self._watchdog.last_s = time.monotonic()

    def give_up(self, error: Exception) -> None:
        """Abort the upstream; the attempt ends with `error`."""
        self.connection.abort()
        self._broken(error)

    def release(self) -> None:
        """Give the connection back; further calls do nothing."""
        if not self._over:
            self._over = True
            # The connection may serve another client next: this one must not reach it any more.
            self.client.forget()
            self._watchdog.stop()
            if self._total is not None:
                self._total.cancel()
            self.replica.in_flight -= 1
            self.replica.release(self.connection)

    def _timeout(self) -> UpstreamTimeout:
        which = "first_byte_s" if not self.first_byte_s else "idle_s or total_s"
        return UpstreamTimeout(f"The backend was silent for longer than timeouts.{which} allows.")

    def _expired(self) -> None:
        self._timed_out = True
        self.give_up(self._timeout())

    def _client_gone(self) -> None:
        self.give_up(ClientGone())

    def _broken(self, error: Exception) -> None:
        """The answer will not become whole. While the head is awaited, `head` raises instead."""
        if self.connection.status_known():
            self.release()
            if not self.finished.done():
                self.finished.set_exception(error)


class _Parts:
    """Collects the body of an answer that comes in one piece."""

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt
        self._size = 0
        self.parts: list[bytes] = []

    def body(self, data: bytes) -> None:
        self.parts.append(data)
        self._size += len(data)
        self._attempt.took_bytes()
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

    def begin(self, stream: ChatStream, head: Callable[[], tuple[int, Headers]], gaps: Gaps) -> None:
        """Relay from now on. `head` gives status and headers when the first event is there: until then an error of
        the backend can still become a status, or another attempt."""
        self._stream = stream
        self._head = head
        self.gaps = gaps
        self.started = False
        self.first_token_s = 0.0
        self.first_answer_s = 0.0
        self._last_token_s = 0.0
        self.client.on_slow = self._client_slow
        self.connection.attach(self)

    def body(self, data: bytes) -> None:
        stream = self._stream
        before = stream.answer_events + stream.reasoning_events
        out = stream.feed(data)
        now = time.perf_counter()
        self._watchdog.last_s = time.monotonic()
        if not self.started:
            if not out:
                return
            if stream.error is not None:
                self.give_up(stream.error)
                return
            self.started = True
            self.took_bytes()
            self.client.start(*self._head())
        tokens = stream.answer_events + stream.reasoning_events - before
        if tokens:
            if self.first_token_s:
                self.gaps.add((now - self._last_token_s) / tokens, tokens)
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

    def _broken(self, error: Exception) -> None:
        if isinstance(error, GatewayError) and self.connection.status_known() and self.started:
            self.release()
            if not self.finished.done():
                self.client.end(self._stream.fail(error))
                self.finished.set_result(None)
            return
        super()._broken(error)

    def _client_slow(self, slow: bool) -> None:
        if slow:
            self.connection.pause()
        else:
            self.connection.resume()
