"""One request on its way to a backend and back: which replica, which connection, how long, and what if it fails.

Knows connections and time limits; knows no wire format (chat.py does). Everything runs in callbacks of the event loop:
in the usual case, a connection that is open already, a request costs no task, no future and no coroutine. Retries
happen only before the client got a byte; after that, a failure ends the answer visibly.
"""

import asyncio
import logging
from functools import partial
from time import monotonic

from app.dataplane.client import NOBODY, Client
from app.dataplane.deadlines import Deadlines
from app.dataplane.plan import Plan, Planner
from app.errors import GatewayError, UpstreamBusy, UpstreamError, UpstreamFailed, UpstreamTimeout
from app.metrics import Meters
from app.pools.connection import Connection
from app.pools.replica import Replica
from app.settings import Timeouts

log = logging.getLogger("thinkgate")
NEVER_S = float("inf")
_RETRY_STATUSES = frozenset((502, 503, 504))


class Services:
    """What every exchange uses."""

    __slots__ = ("deadlines", "first_byte_s", "idle_s", "meters", "planner", "total_s")

    def __init__(self, planner: Planner, meters: Meters, timeouts: Timeouts) -> None:
        self.planner = planner
        self.meters = meters
        self.deadlines = Deadlines()
        self.first_byte_s = timeouts.first_byte_s
        self.idle_s = timeouts.idle_s
        self.total_s = NEVER_S if timeouts.total_s is None else timeouts.total_s


class Exchange:
    """Subclasses write the request (`request_head`) and take the answer (`on_head`, `on_body`, `on_end`), refuse
    (`refuse`) and count (`on_over`). `phase` is where a client would leave: judging, connecting, queued, answering."""

    __slots__ = (
        "_failure",
        "_holds",
        "_last_s",
        "_reused",
        "_tried",
        "client",
        "connection",
        "deadline_s",
        "over",
        "phase",
        "plan",
        "replica",
        "sent_s",
        "services",
        "started",
        "started_s",
    )
    plan: Plan
    connection: Connection
    replica: Replica

    def __init__(self, services: Services, client: Client) -> None:
        self.services = services
        self.client = client
        self.started_s = monotonic()
        self.phase = "judging"
        self.over = False
        self.started = False  # the client may have bytes of the answer
        self._tried: list[Replica] = []
        self._failure: GatewayError | None = None
        self._reused = False
        self._holds = False
        self.sent_s = 0.0
        self.deadline_s = self._last_s = NEVER_S

    # ------------------------------------------------------------------ what a protocol adds

    def request_head(self, replica: Replica) -> bytes:
        """The request's head for a replica, the empty line included."""
        raise NotImplementedError

    def on_head(self) -> None:
        """The answer's head has come."""
        raise NotImplementedError

    def on_body(self, data: bytes, now_s: float) -> None:
        """A part of the answer's body has come."""
        raise NotImplementedError

    def on_end(self, error: GatewayError | None) -> None:
        """The answer is whole, or broke off after its head."""
        raise NotImplementedError

    def refuse(self, error: GatewayError) -> None:
        """Give the client an error as the whole answer."""
        raise NotImplementedError

    def on_over(self, status: int) -> None:
        """Nothing more will happen; `status` is what the client got, 499 if it left."""
        raise NotImplementedError

    # ------------------------------------------------------------------ on the way there

    def dispatch(self) -> None:
        """Send to the pool's next replica, or give up on the pool."""
        replica = self.plan.pool.choose(self._tried)
        if replica is None:
            self._pool_failed()
            return
        if self._tried:
            self.services.meters.retries.inc()
        self._tried.append(replica)
        connection = replica.idle_connection()
        if connection is None:
            self._connect(replica)
        else:
            self._reused = True
            self._send(replica, connection)

    def _connect(self, replica: Replica) -> None:
        self._reused = False
        self.phase = "connecting"
        self.client.listener = self
        replica.connect().add_done_callback(partial(self._connected, replica))

    def _connected(self, replica: Replica, task: "asyncio.Task[Connection]") -> None:
        error = None if task.cancelled() else task.exception()
        if self.over:  # the client left meanwhile
            if error is None and not task.cancelled():
                task.result().abort()
        elif error is None and not task.cancelled():
            self._send(replica, task.result())
        else:
            replica.up = False
            self._count_error("connect_timeout" if isinstance(error, TimeoutError) else "connect")
            if self._failure is None:
                pool = self.plan.pool.name
                self._failure = UpstreamBusy(f"No replica of the pool `{pool}` can be reached.", retry_after_s=1)
            self.dispatch()

    def _send(self, replica: Replica, connection: Connection) -> None:
        services = self.services
        self.replica = replica
        self.connection = connection
        self.phase = "queued"
        self.sent_s = now = monotonic()
        self._last_s = now + services.total_s
        self.deadline_s = min(now + services.first_byte_s, self._last_s)
        services.deadlines.keep(self)
        services.meters.overhead.observe(now - self.started_s)
        replica.in_flight += 1
        self._holds = True
        self.client.listener = self
        connection.send(self.request_head(replica) + self.plan.body, self)

    def release(self) -> None:
        """Give the connection back to its replica; once an attempt."""
        if not self._holds:
            return
        self._holds = False
        # It may serve another client next: this one must not reach it any more.
        self.client.listener = NOBODY
        self.services.deadlines.drop(self)
        self.replica.in_flight -= 1
        self.replica.release(self.connection)

    # ------------------------------------------------------------------ on the way back: Sink

    def head(self) -> None:
        """Called by the connection."""
        try:
            self.replica.up = True
            self.phase = "answering"
            self.on_head()
        except Exception as error:
            self._bug(error)

    def body(self, data: bytes) -> None:
        """Called by the connection."""
        now = monotonic()
        self.deadline_s = min(now + self.services.idle_s, self._last_s)
        try:
            self.on_body(data, now)
        except Exception as error:
            self._bug(error)

    def ended(self, error: Exception | None) -> None:
        """Called by the connection."""
        try:
            self.release()
            if self.over:
                return
            if error is None:
                self.on_end(None)
            elif self.phase == "answering":
                self.on_end(UpstreamFailed("The backend broke off before the answer was complete."))
            elif self._reused and not self.connection.received:
                # It was closed just now, while idle: nothing of the request was read.
                self._connect(self.replica)
            else:
                self.retry(UpstreamFailed("The backend broke off before the answer began."))
        except Exception as bug:
            self._bug(bug)

    def finish(self, status: int) -> None:
        """The client has its answer."""
        if not self.over:
            self.over = True
            self.on_over(status)

    # ------------------------------------------------------------------ when it fails

    def give_up(self, error: GatewayError) -> None:
        """Abort the upstream because of `error`, which the backend sent or the gateway saw."""
        self.connection.abort()
        self.release()
        self.retry(error)

    def retry(self, error: GatewayError) -> None:
        """The attempt failed before the client got a byte: elsewhere, if that may help."""
        self._failure = error
        if error.status >= 500:  # the rest is the client's own mistake, told by the backend
            self._count_error(cause_of(error))
        status = error.status if isinstance(error, UpstreamError) else 502
        if isinstance(error, UpstreamTimeout):  # the client has waited long enough, and this mode is at fault
            self._pool_failed()
        elif status in _RETRY_STATUSES:
            self.dispatch()
        else:
            self._pool_failed(may_help=status >= 500)

    def _pool_failed(self, may_help: bool = True) -> None:
        """The other mode, where that is allowed; else the client gets the error."""
        plan = self.plan
        error = self._failure or UpstreamBusy(f"The pool `{plan.pool.name}` has no replica.", retry_after_s=1)
        if may_help and plan.may_fall_back and not plan.routing.fallback_from:
            mode = plan.routing.mode
            self.services.meters.fallbacks(mode, mode.other, cause_of(error)).inc()
            self.plan = self.services.planner.fall_back(plan)
            self._tried = []
            self._failure = None
            self.dispatch()
        else:
            self.refuse(error)
            self.finish(error.status)

    def expire(self) -> None:
        """The deadline has passed. Called by the deadlines."""
        which = "idle_s" if self.phase == "answering" else "first_byte_s"
        if self.deadline_s == self._last_s:
            which = "total_s"
        self._break_off(UpstreamTimeout(f"The backend took longer than timeouts.{which} allows."))

    def _break_off(self, error: GatewayError) -> None:
        self.connection.abort()
        self.release()
        if self.over:
            return
        if self.started:
            self.on_end(error)
        else:
            self.retry(error)

    def client_gone(self) -> None:
        """Called by the client."""
        if self.over:
            return
        self.over = True
        if self.phase not in ("judging", "connecting"):
            self.connection.abort()
            self.release()
        self.services.meters.client_disconnects(self.phase).inc()
        self.on_over(499)

    def client_slow(self, slow: bool) -> None:
        """Called by the client: what it does not take is not read either."""
        if self.phase == "answering":
            if slow:
                self.connection.pause()
            else:
                self.connection.resume()

    def _bug(self, error: Exception) -> None:
        log.error("internal error: %s", type(error).__name__, exc_info=without_values(error))
        self.connection.abort()
        if not self.over:
            self._break_off(GatewayError("The gateway failed; the answer is not complete."))

    def _count_error(self, kind: str) -> None:
        self.services.meters.upstream_errors(self.plan.pool.name, kind).inc()


def cause_of(error: GatewayError) -> str:
    """A bounded word for what went wrong."""
    return f"status_{error.status}" if isinstance(error, UpstreamError) else str(error.code)


def without_values(error: BaseException) -> BaseException:
    """The error with its place but without its message, which may hold a client's text."""
    return Exception(type(error).__name__).with_traceback(error.__traceback__)
