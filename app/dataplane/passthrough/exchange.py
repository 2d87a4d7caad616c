"""A request that is passed through, and its answer as it comes. Knows no wire format: bodies are bytes."""

import msgspec

from app.dataplane.client import Client
from app.dataplane.exchange import Exchange
from app.dataplane.headers import for_client, lines_of
from app.dataplane.plan import Caller
from app.dataplane.request_head import RequestHead
from app.dataplane.services import Services
from app.errors import GatewayError, UpstreamError, UpstreamFailed
from app.ids import request_id
from app.pools.pool import Pool
from app.pools.replica import Replica

_MAX_ERROR_BYTES = 1024 * 1024


class Errand(msgspec.Struct, frozen=True):
    """What is sent where: `target` is the request's path, with its query; `content_type` that of the body, where there
    is one. `only`: no other replica can answer."""

    pool: Pool
    method: bytes
    target: bytes
    body: bytes = b""
    content_type: bytes = b""
    only: Replica | None = None
    affinity: int = 0
    may_fall_back: bool = False
    special: None = None


class PassThroughExchange(Exchange):
    """The backend's errors get the gateway's shape; every other answer goes out as it comes in, piece by piece."""

    __slots__ = ("_api", "_parts", "_size", "errand", "incoming", "request_id", "tenant")

    def __init__(self, services: Services, client: Client, incoming: RequestHead, api: str, caller: Caller) -> None:
        super().__init__(services, client)
        self.tenant = caller.tenant
        self.incoming = incoming
        self.request_id = request_id(incoming.by_name)
        self._api = api
        self._parts: list[bytes] | None = None
        self._size = 0

    def run(self, errand: Errand) -> None:
        """On the way."""
        self.errand = errand
        self.plan = errand  # type: ignore[assignment]  # an exchange needs of a plan what an errand has
        self.dispatch()

    def choose(self) -> Replica | None:
        """The next replica, or the only one."""
        only = self.errand.only
        if only is None:
            return super().choose()
        return None if only in self._tried else only

    def request_head(self, replica: Replica) -> bytes:
        """The request's head for a replica."""
        errand = self.errand
        length = b"content-length: %d\r\n" % len(errand.body) if errand.method != b"GET" else b""
        kind = b"content-type: %b\r\n" % errand.content_type if errand.content_type else b""
        own = b"%b%b%bx-request-id: %b\r\n" % (replica.head, kind, length, self.request_id)
        observer, incoming = self.services.observer, self.incoming
        lines = incoming.forwarded() if observer is None else observer.forwarded(self, incoming, replica)
        return b"%b %b HTTP/1.1\r\n%b%b\r\n" % (errand.method, errand.target, own, lines)

    def on_head(self) -> None:
        """An error is read whole, since its shape may have to change; the rest is relayed."""
        self._parts = [] if self.connection.status >= 400 else None

    def on_body(self, data: bytes, chunk: bytes, now_s: float) -> None:
        """A part of the answer."""
        if self._parts is None:
            if not self.started:
                self._start(data)
            self.client.write(data, chunk)
            return
        self._parts.append(data)
        self._size += len(data)
        if self._size > _MAX_ERROR_BYTES:
            self.give_up(UpstreamFailed("The backend's answer is too large."))

    def on_end(self, error: GatewayError | None) -> None:
        """Whole or broken off."""
        if self._parts is not None:
            upstream = self.connection
            wait = dict(upstream.headers).get(b"retry-after", b"")
            self.retry(error or UpstreamError.from_answer(upstream.status, b"".join(self._parts), wait))
        elif error is None:
            if not self.started:
                self._start(b"")
            self.client.end()
            self.finish(self.connection.status)
        elif not self.started:
            self.retry(error)
        else:
            # The head is out and nothing says how this body shows an error: the client sees a connection that breaks.
            self.client.abort()
            self.finish(error.status)

    def _start(self, first: bytes) -> None:
        """Send the answer's head, with the first part of the body at hand."""
        connection = self.connection
        # An answer that is whole with its first part may be one whose head was known, but for its length.
        length = b"%d" % len(first) if connection.reusable() else dict(connection.headers).get(b"content-length", b"")
        pool = self.errand.pool.name.encode("latin-1", "replace")
        own = b"x-request-id: %b\r\nx-thinkgate-pool: %b\r\n" % (self.request_id, pool)
        self.started = True
        lines = for_client(connection.headers) + own
        self.client.start(connection.status, lines, int(length) if length.isdigit() else None)

    def refuse(self, error: GatewayError) -> None:
        """The error as the whole answer."""
        body = error.body()
        self.client.start(error.status, lines_of([*error.headers(), (b"x-request-id", self.request_id)]), len(body))
        self.client.end(body)

    def on_over(self, status: int) -> None:
        """Count the request."""
        self.charge(status, None, 0, 0)
        self.services.meters.requests(self._api, "none", "none", str(status)).inc()
        if self.services.observer is not None:
            self.services.observer.over(self, self.incoming, self._api, status)
