"""The direct lane: data-plane requests go from uvicorn's HTTP parser to the gateway without ASGI. Knows uvicorn's
protocol class; knows nothing of routing.

ASGI costs a task, an event, two dictionaries a chunk and a second write for every answer's head: about as much as all
the gateway's own work. Requests that need anything unusual (HTTP/1.0, `Expect`, an upgrade, pipelining) take the ASGI
way, where the same endpoint answers them.
"""

import asyncio
import urllib.parse
from http import HTTPStatus
from time import monotonic
from typing import Any

import httptools
import msgspec
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.dataplane.client import NOBODY, Headers, Listener
from app.dataplane.deadlines import Deadlines
from app.errors import GatewayError, RequestTimeout, TooLarge
from app.gateway import Gateway, send_error

_STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
LINGER_S = 10.0


def protocol_for(gateway: Gateway) -> type[HttpToolsProtocol]:
    """The protocol class that uvicorn shall make for each connection."""
    deadlines = Deadlines()

    class GatewayProtocol(LaneProtocol):
        pass

    GatewayProtocol.gateway = gateway
    GatewayProtocol.deadlines = deadlines
    GatewayProtocol.paths = {}
    return GatewayProtocol


class LaneProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the direct lane, and the API's error shape for what is no HTTP."""

    gateway: Gateway
    deadlines: Deadlines
    paths: dict[bytes, str]

    def on_message_begin(self) -> None:
        """A request begins. uvicorn's scope is made only where it is needed (`on_headers_complete`)."""
        self.url = b""
        self.expect_100_continue = False
        self.headers = []
        cycle: Any = self.cycle
        if type(cycle) is LaneCycle and cycle.response_complete:
            self.deadlines.drop(cycle)  # it is no longer idle

    def on_headers_complete(self) -> None:
        """Take the direct lane where nothing speaks against it."""
        before: Any = self.cycle
        parser = self.parser
        if (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not parser.should_upgrade()
            and (before is None or before.response_complete)
        ):
            path = self.paths.get(self.url)
            if path is None:
                path = httptools.parse_url(self.url).path.decode("ascii")
                if "%" in path:
                    path = urllib.parse.unquote(path)
                if not self.gateway.serves_directly(path):
                    path = None
                elif len(self.url) < 256 and len(self.paths) < 1000:  # spellings and queries are the client's choice
                    self.paths[self.url] = path
            if path is not None:
                self.cycle = LaneCycle(self, path)  # type: ignore[assignment]
                return
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def pause_writing(self) -> None:
        """The client reads slowly."""
        super().pause_writing()
        cycle: Any = self.cycle
        if isinstance(cycle, LaneCycle):
            cycle.listener.client_slow(True)

    def resume_writing(self) -> None:
        """The client has caught up."""
        super().resume_writing()
        cycle: Any = self.cycle
        if isinstance(cycle, LaneCycle):
            cycle.listener.client_slow(False)

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser refused, and close."""
        error = {"message": msg, "type": "invalid_request_error", "param": None, "code": "invalid_http"}
        body = msgspec.json.encode({"error": error})
        head = b"HTTP/1.1 400 Bad Request\r\ncontent-type: application/json\r\nconnection: close\r\n"
        self.transport.write(head + b"content-length: %d\r\n\r\n" % len(body) + body)
        self.transport.close()


class LaneCycle:
    """One request and its answer; stands where uvicorn keeps its RequestResponseCycle, and implements `Client`.

    uvicorn appends to `body`, sets `more_body` and `disconnected`, and calls `message_event.set()` at each change.
    """

    __slots__ = (
        "_by_name",
        "_caller",
        "_chunked",
        "_head",
        "_headers",
        "_path",
        "_protocol",
        "_running",
        "body",
        "deadline_s",
        "disconnected",
        "gone",
        "keep_alive",
        "listener",
        "loop",
        "more_body",
        "response_complete",
    )

    def __init__(self, protocol: LaneProtocol, path: str) -> None:
        self._protocol = protocol
        self._path = path
        self._headers: Headers = protocol.headers
        self._head = b""
        self._chunked = False
        self._running = False
        self.loop: asyncio.AbstractEventLoop = protocol.loop
        self.body = bytearray()
        self.more_body = True
        self.disconnected = False
        self.gone = False
        self.response_complete = False
        self.keep_alive: bool = protocol.parser.should_keep_alive()
        self.listener: Listener = NOBODY
        server = protocol.gateway.settings.server
        self.deadline_s = monotonic() + server.body_timeout_s
        protocol.deadlines.keep(self)
        limit = server.max_body_bytes
        self._by_name = dict(self._headers)
        try:  # before a byte of the body is kept
            self._caller = protocol.gateway.may_call(path, self._by_name)
        except GatewayError as error:
            self._refuse(error)
            return
        length = self._by_name.get(b"content-length")
        if length is not None and length.isdigit() and int(length) > limit:
            self._refuse(TooLarge(f"The request body is larger than {limit} bytes (server.max_body_bytes)."))

    # ------------------------------------------------------------------ what uvicorn calls

    @property
    def message_event(self) -> "LaneCycle":
        """uvicorn's event: here, the cycle itself."""
        return self

    def set(self) -> None:
        """Something has changed: more of the body, its end, or the client is gone."""
        if self.disconnected or self.response_complete:
            self._protocol.deadlines.drop(self)
            if not self.gone and not self.response_complete:
                self.gone = True
                self.listener.client_gone()
        elif self._running:
            return
        elif not self.more_body:
            self._running = True
            self._protocol.deadlines.drop(self)
            body = bytes(self.body)
            self.body = bytearray()
            self._protocol.gateway.answer(self, self._path, self._headers, self._by_name, body, self._caller)
        else:
            self._more()

    def _more(self) -> None:
        """A part of the body has come, and more is due."""
        server = self._protocol.gateway.settings.server
        if len(self.body) > server.max_body_bytes:
            self._refuse(
                TooLarge(f"The request body is larger than {server.max_body_bytes} bytes (server.max_body_bytes).")
            )
            return
        self.deadline_s = monotonic() + server.body_timeout_s
        self._protocol.flow.resume_reading()

    def expire(self) -> None:
        """The rest of the body, or another request, did not come in time."""
        if self.response_complete:
            self._protocol.transport.close()
            return
        seconds = self._protocol.gateway.settings.server.body_timeout_s
        self.keep_alive = False
        self._refuse(RequestTimeout(f"The next part of the request body did not come within {seconds:g} s."))

    def _refuse(self, error: GatewayError) -> None:
        """Answer before the body is whole. What is still on its way is read and dropped, so that a client which sends
        first and listens then gets to see the error; but not for ever."""
        self._protocol.deadlines.drop(self)
        self._running = True
        self.body = bytearray()
        send_error(self, error)
        self.loop.call_later(LINGER_S, self._stop_lingering)

    def _stop_lingering(self) -> None:
        cycle: Any = self._protocol.cycle
        if cycle is self and self.more_body:
            self._protocol.transport.close()

    # ------------------------------------------------------------------ Client

    def start(self, status: int, lines: bytes, length: int | None = None) -> None:
        """Kept back until the first bytes of the body, to go out with them."""
        self._chunked = length is None
        framing = b"transfer-encoding: chunked\r\n" if length is None else b"content-length: %d\r\n" % length
        if not self.keep_alive:
            framing += b"connection: close\r\n"
        status_line = _STATUS_LINES.get(status) or b"HTTP/1.1 %d \r\n" % status
        # uvicorn's default headers: the date, renewed every second.
        own = b"".join([b"%b: %b\r\n" % h for h in self._protocol.server_state.default_headers])
        self._head = b"".join((status_line, own, lines, framing, b"\r\n"))

    def write(self, data: bytes) -> None:
        """A part of the body."""
        if self.gone:
            return
        if self._chunked:
            data = b"%b%x\r\n%b\r\n" % (self._head, len(data), data)
        elif self._head:
            data = self._head + data
        self._head = b""
        self._protocol.transport.write(data)

    def end(self, data: bytes = b"") -> None:
        """The last part."""
        if self.gone:
            return
        if not self._chunked:
            data = self._head + data
        elif data:
            data = b"%b%x\r\n%b\r\n0\r\n\r\n" % (self._head, len(data), data)
        else:
            data = self._head + b"0\r\n\r\n"
        self._head = b""
        protocol = self._protocol
        protocol.transport.write(data)
        self.response_complete = True
        if not self.keep_alive:
            protocol.transport.close()
        elif protocol.pipeline or self.more_body:
            protocol.on_response_complete()
        else:  # as uvicorn does, but with the sweeping deadlines instead of a timer for every answer
            protocol.server_state.total_requests += 1
            self.deadline_s = monotonic() + protocol.timeout_keep_alive
            protocol.deadlines.keep(self)
