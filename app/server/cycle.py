"""One request on the direct lane, and its answer. Knows uvicorn's protocol class; knows nothing of routing."""

import asyncio
from http import HTTPStatus
from time import monotonic
from typing import TYPE_CHECKING, Any

from app.dataplane.asgi_client import MIN_BODY_BYTES_PER_S
from app.dataplane.client import NOBODY, Listener
from app.dataplane.request_head import RequestHead
from app.error_answers import send_error
from app.errors import GatewayError, RequestTimeout, TooLarge

if TYPE_CHECKING:
    from app.server.lane import LaneProtocol

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
LINGER_S = 10.0
NEVER_S = float("inf")


class LaneCycle:
    """Stands where uvicorn keeps its RequestResponseCycle, and implements `Client`.

    uvicorn appends to `body`, sets `more_body` and `disconnected`, and calls `message_event.set()` at each change.
    """

    # Defaults, so that making one costs little: there is one a request.
    more_body = True
    disconnected = False
    gone = False
    response_complete = False
    keep_alive = True
    listener: Listener = NOBODY
    body: bytes | bytearray = b""
    _lines = b""
    _chunked = False
    running = False
    _begun_s = 0.0

    def __init__(self, protocol: "LaneProtocol", head: RequestHead) -> None:
        self._protocol = protocol
        self.head = head
        self.loop: asyncio.AbstractEventLoop = protocol.loop

    def begin(self) -> None:
        """The head is read: check the key and the announced length before a byte of the body is kept."""
        protocol = self._protocol
        self.body = bytearray()
        self.keep_alive = protocol.parser.should_keep_alive() and not protocol.gateway.stopping
        server = protocol.gateway.settings.server
        self._begun_s = monotonic()
        protocol.deadline_s = self._begun_s + server.body_timeout_s
        try:
            self._caller = protocol.gateway.may_call(self.head.path, self.head.by_name)
        except GatewayError as error:
            self._refuse(error)
            return
        length = self.head.by_name.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > server.max_body_bytes:
            self._refuse(_too_large(server.max_body_bytes))

    def serve(self, body: bytes) -> None:
        """The whole request is there at once."""
        protocol = self._protocol
        protocol.deadline_s = NEVER_S
        self.more_body = False
        self.running = True
        gateway = protocol.gateway
        if gateway.stopping:
            self.keep_alive = False
        limit = gateway.settings.server.max_body_bytes
        try:
            caller = gateway.may_call(self.head.path, self.head.by_name)
            if len(body) > limit:
                raise _too_large(limit)
        except GatewayError as error:
            send_error(self, error, self.head.path, self.head.by_name)
            return
        gateway.answer(self, self.head, body, caller)

    # ------------------------------------------------------------------ what uvicorn calls

    @property
    def message_event(self) -> "LaneCycle":
        """uvicorn's event: here, the cycle itself."""
        return self

    def set(self) -> None:
        """Something has changed: more of the body, its end, or the client is gone."""
        if self.disconnected or self.response_complete:
            if not self.gone and not self.response_complete:
                self.gone = True
                self.listener.client_gone()
        elif self.running:
            return
        elif not self.more_body:
            self.running = True
            protocol = self._protocol
            protocol.deadline_s = NEVER_S
            body = bytes(self.body)
            self.body = b""
            protocol.gateway.answer(self, self.head, body, self._caller)
        else:
            self._more()

    def _more(self) -> None:
        """A part of the body has come, and more is due."""
        protocol = self._protocol
        server = protocol.gateway.settings.server
        if len(self.body) > server.max_body_bytes:
            self._refuse(_too_large(server.max_body_bytes))
            return
        # A part now and then keeps no connection for ever: the whole has to come at some rate as well.
        latest_s = self._begun_s + server.body_timeout_s + len(self.body) / MIN_BODY_BYTES_PER_S
        protocol.deadline_s = min(monotonic() + server.body_timeout_s, latest_s)
        protocol.flow.resume_reading()

    def expire(self) -> None:
        """The rest of the body did not come in time."""
        seconds = self._protocol.gateway.settings.server.body_timeout_s
        self.keep_alive = False
        self._refuse(RequestTimeout(f"The request body did not come in time (server.body_timeout_s: {seconds:g} s)."))

    def stop(self, error: GatewayError) -> None:
        """The gateway ends now."""
        self.keep_alive = False
        if self.running:
            self.listener.gateway_stops(error)
        else:
            self._refuse(error)
            self._protocol.transport.close()

    def _refuse(self, error: GatewayError) -> None:
        """Answer before the body is whole. What is still on its way is read and dropped, so that a client which sends
        first and listens then gets to see the error; but not for ever."""
        self._protocol.deadline_s = NEVER_S
        self.running = True
        self.body = bytearray()
        send_error(self, error, self.head.path, self.head.by_name)
        self.loop.call_later(LINGER_S, self._stop_lingering)

    def _stop_lingering(self) -> None:
        cycle: Any = self._protocol.cycle
        if cycle is self and self.more_body:
            self._protocol.transport.close()

    # ------------------------------------------------------------------ Client

    def start(self, status: int, lines: bytes, length: int | None = None) -> None:
        """Kept back until the first bytes of the body, to go out with them."""
        if length is None:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        else:
            framing = b"content-length: %d\r\n" % length
        if not self.keep_alive:
            framing += b"connection: close\r\n"
        status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        self._lines = b"%b%b%b%b\r\n" % (status_line, self._protocol.default_lines(), lines, framing)

    def write(self, data: bytes, chunk: bytes = b"") -> None:
        """A part of the body."""
        if self.gone:
            return
        lines = self._lines
        if self._chunked:
            data = chunk if chunk and not lines else b"%b%x\r\n%b\r\n" % (lines, len(data), data)
        elif lines:
            data = lines + data
        if lines:
            self._lines = b""
        self._protocol.transport.write(data)

    def end(self, data: bytes = b"") -> None:
        """The last part."""
        if self.gone:
            return
        if not self._chunked:
            data = self._lines + data
        elif data:
            data = b"%b%x\r\n%b\r\n0\r\n\r\n" % (self._lines, len(data), data)
        else:
            data = self._lines + b"0\r\n\r\n"
        protocol = self._protocol
        protocol.transport.write(data)
        self.response_complete = True
        if not self.keep_alive:
            protocol.transport.close()
        elif protocol.pipeline or self.more_body:
            protocol.on_response_complete()
        else:  # as uvicorn does, but with the swept deadline instead of a timer for every answer
            protocol.server_state.total_requests += 1
            protocol.deadline_s = monotonic() + protocol.timeout_keep_alive

    def abort(self) -> None:
        """Break the connection off."""
        self.gone = True
        self._protocol.transport.abort()


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"The request body is larger than {limit} bytes (server.max_body_bytes).")
