"""One request on its way to a backend and back: which replica, which connection, how long, and what if it fails.

Knows connections and time limits; knows no wire format (chat.py does). Everything runs in callbacks of the event loop:
in the usual case, a connection that is open already, a request costs no task, no future and no coroutine. Retries
happen only before the client got a byte; after that, a failure ends the answer visibly.
"""

import asyncio
import logging
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING

from app.dataplane.admission import Admission
from app.dataplane.client import NOBODY, Client
from app.dataplane.plan import Plan
from app.dataplane.services import NEVER_S, Services
from app.dataplane.special import refuses_budget
from app.errors import GatewayError, UpstreamBusy, UpstreamError, UpstreamFailed, UpstreamTimeout
from app.pools.connection import Connection
from app.pools.pool import Pool
from app.pools.replica import Replica

if TYPE_CHECKING:
    from app.observing.trace import Trace

log = logging.getLogger("thinkgate")
MAX_ATTEMPTS = 6
_RETRY_STATUSES = frozenset((502, 503, 504))


class Exchange(Admission):
    """Subclasses write the request (`request_head`) and take the answer (`on_head`, `on_body`, `on_end`), refuse
    (`refuse`) and count (`on_over`). `phase` is where a client would leave: judging, waiting (for a place in the pool),
    connecting, queued (at the backend), answering."""

    plan: Plan
    connection: Connection
    replica: Replica
    trace: "Trace | None" = None
    # Defaults, so that making one costs little: there is one a request.
    started = False
    """The client may have bytes of the answer."""
    deadline_s = _last_s = NEVER_S
    _reused = False
    _holds = False
    _attempts = 0

    def __init__(self, services: Services, client: Client) -> None:
        self.services = services
        self.client = client
        self.started_s = monotonic()
        self._tried: list[Replica] = []

    # ------------------------------------------------------------------ what a protocol adds

    def request_head(self, replica: Replica) -> bytes:
        """The request's head for a replica, the empty line included."""
        raise NotImplementedError

    def on_head(self) -> None:
        """The answer's head has come."""
        raise NotImplementedError

    def on_body(self, data: bytes, chunk: bytes, now_s: float) -> None:
        """A part of the answer's body has come; `chunk` is the HTTP chunk around it, or empty."""
        raise NotImplementedError

    def on_end(self, error: GatewayError | None) -> None:
        """The answer is whole, or broke off after its head."""
        raise NotImplementedError

    def on_over(self, status: int) -> None:
        """Nothing more will happen; `status` is what the client got, 499 if it left."""
        raise NotImplementedError

    # ------------------------------------------------------------------ on the way there

    def choose(self) -> Replica | None:
        """The next replica to try, or None where the pool has no other."""
        return self.plan.pool.choose(self._tried, self.plan.affinity)

    def dispatch(self) -> None:
        """Send to the pool's next replica, or give up on the pool."""
        pool = self.plan.pool
        if pool.places is not self.place and not self.enter(pool):
            return
        replica = self.choose()
        if replica is None:
            self.pool_failed()
            return
        if self._tried:
            self.services.meters.retries.inc()
        self._tried.append(replica)
        replica.in_flight += 1  # already while connecting: a burst on replicas without connections must spread too
        self.replica = replica
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
            replica.in_flight -= 1
            self.leave()
            if error is None and not task.cancelled():
                task.result().abort()
        elif error is None and not task.cancelled():
            self._send(replica, task.result())
        else:
            replica.in_flight -= 1
            replica.checked(False)
            self._count_error("connect_timeout" if isinstance(error, TimeoutError) else "connect")
            if self.failure is None:
                pool = self.plan.pool.name
                self.failure = UpstreamBusy(f"No replica of the pool `{pool}` can be reached.", retry_after_s=1)
            self.dispatch()

    def _send(self, replica: Replica, connection: Connection) -> None:
        services = self.services
        self.connection = connection
        self.phase = "queued"
        self.sent_s = now = monotonic()
        self._last_s = now + services.total_s
        self.deadline_s = now + (
            services.first_byte_s if services.first_byte_s < services.total_s else services.total_s
        )
        services.deadlines.keep(self)
        services.meters.overhead.observe(now - self.started_s)
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
        if self.over and self.place is not None:
            self.leave()

    # ------------------------------------------------------------------ on the way back: Sink

    def head(self) -> None:
        """Called by the connection."""
        try:
            if not self.replica.well and self.connection.status < 500:
                self.replica.answering()
            self.phase = "answering"
            self.on_head()
        except Exception as error:
            self._bug(error)

    def body(self, data: bytes, chunk: bytes = b"") -> None:
        """Called by the connection."""
        now = monotonic()
        deadline_s = now + self.services.idle_s
        self.deadline_s = deadline_s if deadline_s < self._last_s else self._last_s
        try:
            self.on_body(data, chunk, now)
        except Exception as error:
            self._bug(error)

    def ended(self, error: Exception | None) -> None:
        """Called by the connection."""
        try:
            self.release()
            if error is None and self.connection.status < 500:
                self.replica.succeeded()
            if self.over:
                return
            if error is None:
                self.on_end(None)
            elif self.phase == "answering":
                if self.started:
                    self.replica.failed()
                self.on_end(UpstreamFailed("The backend broke off before the answer was complete."))
            elif self._reused and not self.connection.received:
                # It was closed just now, while idle: nothing of the request was read.
                self.replica.in_flight += 1
                self._connect(self.replica)
            else:
                self.retry(UpstreamFailed("The backend broke off before the answer began."))
        except Exception as bug:
            self._bug(bug)

    def finish(self, status: int) -> None:
        """The client has its answer."""
        if not self.over:
            self.over = True
            if self.place is not None and not self._holds:
                self.leave()
            if self.ledger is not None:
                self.ledger.end()
            self.on_over(status)

    # ------------------------------------------------------------------ when it fails

    def give_up(self, error: GatewayError) -> None:
        """Abort the upstream because of `error`, which the backend sent or the gateway saw."""
        self.connection.abort()
        self.release()
        self.retry(error)

    def retry(self, error: GatewayError) -> None:
        """The attempt failed before the client got a byte: elsewhere, if that may help."""
        self.failure = error
        if error.status == 400 and refuses_budget(self.plan.special, error):
            self.services.meters.budgets_refused(self.plan.pool.name).inc()
            self.plan = self.services.planner.without_budget(self.plan)
            self._tried = []
            self.dispatch()
            return
        if error.status >= 500:  # the rest is the client's own mistake, told by the backend
            self._count_error(cause_of(error))
            if isinstance(error, UpstreamError | UpstreamFailed | UpstreamTimeout) and self.replica.failed():
                log.warning("pool %s: replica %d is left alone for a while", self.plan.pool.name, self.replica.place)
        status = error.status if isinstance(error, UpstreamError) else 502
        if isinstance(error, UpstreamTimeout):  # the client has waited long enough, and this mode is at fault
            self.pool_failed()
        elif status in _RETRY_STATUSES and self._may_retry(self.plan.pool, error):
            self.dispatch()
        else:
            self.pool_failed(may_help=status >= 500)

    def _may_retry(self, pool: Pool, error: GatewayError) -> bool:
        """Is there another replica, and a retry left in the pool's budget?

        Where a connection broke, those tried before may be tried again: a replica that was killed may be back, and
        killing one after the other must not end a request that nobody has answered yet.
        """
        if len(self._tried) >= len(pool.replicas):
            last = self._tried[-1]
            if not isinstance(error, UpstreamFailed) or self._attempts >= MAX_ATTEMPTS:
                return False
            if not any(replica.well and replica is not last for replica in pool.replicas):
                return False
            self._tried = [last]
        self._attempts += 1
        return pool.retry_budget.take(monotonic())

    def move_on(self) -> None:
        """Some replica's state has changed. Who waits for an answer to begin at one that is down would wait in vain: it
        is sent elsewhere, if there is a better place."""
        replica = self.replica if self._holds else None
        if replica is None or replica.up or self.phase != "queued":
            return
        plan = self.plan
        elsewhere = any(other.well and other is not replica for other in plan.pool.replicas)
        if not elsewhere and not plan.may_fall_back:
            return
        self.connection.abort()
        self.release()
        self.failure = UpstreamFailed("The backend can no longer be reached.")
        self._count_error("lost")
        self._tried = [replica] if elsewhere else list(plan.pool.replicas)
        self.dispatch()

    def pool_failed(self, may_help: bool = True) -> None:
        """The other mode, where that is allowed; else the client gets the error."""
        plan = self.plan
        error = self.failure or UpstreamBusy(f"The pool `{plan.pool.name}` has no replica.", retry_after_s=1)
        if may_help and plan.may_fall_back and not plan.routing.fallback_from:
            mode = plan.routing.mode
            self.services.meters.fallbacks(mode, mode.other, cause_of(error)).inc()
            self.plan = self.services.planner.fall_back(plan)
            self.guest = True  # a first attempt in its pool, and no retry is taken for it
            self._tried = []
            self._attempts = 0
            self.failure = None
            self.dispatch()
        else:
            self.refuse(error)
            self.finish(error.status)

    def expire(self) -> None:
        """The deadline has passed. Called by the deadlines."""
        if self.phase == "waiting":
            self.waited_too_long()
            return
        which = "idle_s" if self.phase == "answering" else "first_byte_s"
        if self.deadline_s == self._last_s:
            which = "total_s"
        self._break_off(UpstreamTimeout(f"The backend took longer than timeouts.{which} allows."))

    def _break_off(self, error: GatewayError) -> None:
        if self._holds:
            self.connection.abort()
            self.release()
        if self.over:
            return
        if self.started:
            if isinstance(error, UpstreamTimeout) and self.deadline_s != self._last_s:
                self.replica.failed()
            self.on_end(error)
        else:
            self.retry(error)

    def client_gone(self) -> None:
        """Called by the client."""
        if self.over:
            return
        self.over = True
        if self._holds:
            self.connection.abort()
            self.release()
            if self.phase == "queued":
                self.replica.no_verdict()
        elif self.phase == "waiting":
            self.wait_no_longer()
        if self.ledger is not None:
            self.ledger.end()
        self.services.meters.client_disconnects(self.phase).inc()
        self.on_over(499)

    def gateway_stops(self, error: GatewayError) -> None:
        """Called by the client: there is no more time. The answer ends visibly, in whatever phase it is."""
        if self.over:
            return
        if self._holds:
            self.connection.abort()
            self.release()
        elif self.phase == "waiting":
            self.wait_no_longer()
        if self.started:
            self.on_end(error)
        else:
            self.refuse(error)
            self.finish(error.status)

    def client_slow(self, slow: bool) -> None:
        """Called by the client: what it does not take is not read either."""
        if self.phase == "answering":
            if slow:
                self.connection.pause()
            else:
                self.connection.resume()

    def _bug(self, error: Exception) -> None:
        log.error("internal error: %s", type(error).__name__, exc_info=without_values(error))
        if self._holds:
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
