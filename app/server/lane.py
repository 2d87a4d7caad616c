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
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.dataplane.deadlines import Deadlines
from app.dataplane.headers import lines_of
from app.dataplane.request_head import RequestHead
from app.errors import GatewayError, HeadersTooLarge, InvalidHttp, RequestTimeout
from app.gateway import Gateway
from app.ids import request_id
from app.server.cycle import NEVER_S, LaneCycle
from app.server.known_requests import KnownRequests

REFUSED_LINGER_S = 2.0


def protocol_for(gateway: Gateway) -> type[HttpToolsProtocol]:
    """The protocol class that uvicorn shall make for each connection."""

    class GatewayProtocol(LaneProtocol):
        pass

    GatewayProtocol.gateway = gateway
    GatewayProtocol.deadlines = Deadlines()
    GatewayProtocol.known = KnownRequests()
    GatewayProtocol.paths = {}
    return GatewayProtocol


class LaneProtocol(HttpToolsProtocol):
    """uvicorn's protocol with the direct lane, and the API's error shape for what is no HTTP.

    A whole request whose head is known goes past the parser, while that stands between two messages.
    """

    gateway: Gateway
    deadlines: Deadlines
    known: KnownRequests
    paths: dict[bytes, str]
    deadline_s = NEVER_S
    _between_messages = True
    _in_head = False
    _head_bytes = 0
    _refused = False
    _default_headers: object = None
    _default_lines = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client is there; it has as long for its first request as between two."""
        super().connection_made(transport)
        self.deadline_s = monotonic() + self.timeout_keep_alive
        self.deadlines.keep(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """A client is gone."""
        self.deadlines.drop(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a client."""
        if not self._between_messages:
            if self._refused:
                return
            if self._in_head:
                self._more_head(data)
            else:
                super().data_received(data)
            return
        key, head, at = self.known.find(data)
        before: Any = self.cycle
        if head is not None and (before is None or before.response_complete):
            if self.timeout_keep_alive_task is not None:
                self._unset_keepalive_if_required()
            self.cycle = cycle = LaneCycle(self, head)  # type: ignore[assignment]
            cycle.serve(data[at:])
            return
        if self._refused:
            return
        self._more_head(data)
        after: Any = self.cycle
        if key and after is not before and self._between_messages and type(after) is LaneCycle and after.keep_alive:
            self.known.keep(key, after.head)

    def _more_head(self, data: bytes) -> None:
        """Bytes that begin or continue a head: it may be neither endless nor slow."""
        server = self.gateway.settings.server
        before = self._head_bytes
        end = data.find(b"\r\n\r\n")
        if before + (len(data) if end < 0 else end) > server.max_header_bytes:
            self._refuse(HeadersTooLarge(f"The request's head is larger than {server.max_header_bytes} bytes."))
            return
        super().data_received(data)
        if self._in_head:
            self._head_bytes = before + len(data)
            if not before:
                self.deadline_s = monotonic() + server.header_timeout_s

    def on_message_begin(self) -> None:
        """A request begins. uvicorn's scope is made only where it is needed (`on_headers_complete`)."""
        self._between_messages = False
        self._in_head = True
        self.url = b""
        self.expect_100_continue = False
        self.headers = []

    def on_headers_complete(self) -> None:
        """Take the direct lane where nothing speaks against it."""
        self._in_head = False
        self._head_bytes = 0
        if self.parser.get_http_version() not in ("1.1", "1.0"):  # the parser takes 0.9, which has no headers
            raise ValueError("not a version that is spoken here")
        before: Any = self.cycle
        parser = self.parser
        if (
            parser.get_method() == b"POST"
            and parser.get_http_version() == "1.1"
            and not self.expect_100_continue
            and not parser.should_upgrade()
            and (before is None or before.response_complete)
        ):
            path = self._path()
            if path is not None:
                self.cycle = cycle = LaneCycle(self, RequestHead(path, self.headers))  # type: ignore[assignment]
                cycle.begin()
                return
        self.deadline_s = NEVER_S  # uvicorn has timers of its own
        url, headers, expect = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expect
        self.headers.extend(headers)
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """A request is whole."""
        self._between_messages = True
        super().on_message_complete()

    def _path(self) -> str | None:
        """The request's path where the data plane serves it, else None."""
        path = self.paths.get(self.url)
        if path is None:
            path = httptools.parse_url(self.url).path.decode("ascii")
            if "%" in path:
                path = urllib.parse.unquote(path)
            if not self.gateway.serves_directly(path):
                return None
            if len(self.url) < 256 and len(self.paths) < 1000:  # spellings and queries are the client's choice
                self.paths[self.url] = path
        return path

    def default_lines(self) -> bytes:
        """uvicorn's own header lines: the date, renewed every second."""
        headers = self.server_state.default_headers
        if headers is not self._default_headers:
            kind = type(self)
            kind._default_lines = b"".join([b"%b: %b\r\n" % h for h in headers])
            kind._default_headers = headers
        return self._default_lines

    def expire(self) -> None:
        """The rest of a request, or another one, did not come in time."""
        cycle: Any = self.cycle
        if self._refused:
            self.transport.abort()
        elif type(cycle) is LaneCycle and not cycle.response_complete:
            cycle.expire()
        elif self._in_head:
            seconds = self.gateway.settings.server.header_timeout_s
            self._refuse(RequestTimeout(f"The request's head did not come within {seconds:g} s."))
        else:
            self.transport.close()

    def stop(self, error: GatewayError) -> None:
        """The gateway ends now: whatever is still going on ends visibly."""
        cycle: Any = self.cycle
        if type(cycle) is LaneCycle and not cycle.response_complete:
            cycle.stop(error)

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
        self._refuse(InvalidHttp(msg))

    def _refuse(self, error: GatewayError) -> None:
        """An answer for a request that is not whole, and the end of the connection. What is still on its way is dropped
        for a moment: closed at once, the connection would be reset, and the client might never see the answer."""
        if self._refused or self.transport.is_closing():
            return
        cycle: Any = self.cycle
        if cycle is not None and not cycle.response_complete and not _still_reads(cycle):
            self.transport.close()  # an answer is under way: nothing can be put into it
            return
        self._refused = True
        body = error.body()
        head = b"HTTP/1.1 %d %b\r\n" % (error.status, HTTPStatus(error.status).phrase.encode())
        named = [*error.headers(), (b"x-request-id", request_id({}))]
        lines = lines_of(named) + b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body)
        self.transport.write(head + lines + body)
        self.transport.write_eof()
        self.deadline_s = monotonic() + REFUSED_LINGER_S


def _still_reads(cycle: Any) -> bool:
    """Has nothing been said to its request yet?"""
    return not cycle.running if type(cycle) is LaneCycle else not cycle.response_started
