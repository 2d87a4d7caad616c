"""May a request go on? Places in its pool, and what its caller may use. Knows no connection and no wire format.

The base of every exchange. A request of an unlimited caller to an unlimited pool pays for two comparisons.
"""

from time import monotonic
from typing import TYPE_CHECKING

from app.dataplane.client import NOBODY, Client
from app.dataplane.plan import Caller, Plan
from app.dataplane.usage import Usage
from app.errors import GatewayError, PoolFull, RateLimited
from app.limits.ledger import Ledger
from app.pools.places import Places
from app.pools.pool import Pool
from router.mode import Mode

if TYPE_CHECKING:
    from app.dataplane.services import Services


class Admission:
    """Subclasses go on (`dispatch`), give up on a pool (`pool_failed`), refuse and finish."""

    services: "Services"
    client: Client
    plan: Plan
    tenant = "default"
    phase = "judging"
    over = False
    started_s = sent_s = deadline_s = 0.0
    waited_s = 0.0
    """How long it has waited for a place."""
    failure: GatewayError | None = None
    guest = False
    """Another pool could not answer it: this one is asked in its stead."""
    ledger: Ledger | None = None
    """Where this request is counted as in flight."""
    place: Places | None = None
    """Where it has a place, or waits for one (phase `waiting`)."""

    def dispatch(self) -> None:
        """Send to the pool's next replica, or give up on the pool."""
        raise NotImplementedError

    def pool_failed(self, may_help: bool = True) -> None:
        """The other mode, where that is allowed; else the client gets the failure."""
        raise NotImplementedError

    def refuse(self, error: GatewayError) -> None:
        """Give the client an error as the whole answer."""
        raise NotImplementedError

    def finish(self, status: int) -> None:
        """The client has its answer."""
        raise NotImplementedError

    # ------------------------------------------------------------------ places

    def enter(self, pool: Pool) -> bool:
        """Leave the pool before, and get a place in this one; False where the request waits for one, or got none."""
        self.leave()
        places = pool.places
        if places is None:
            return True
        try:
            has_place = places.enter(self, self.guest)
        except PoolFull as error:
            self._shed(error, "queue_full")
            return False
        self.place = places
        if not has_place:
            self.phase = "waiting"
            now_s = monotonic()
            self.waited_s -= now_s
            self.deadline_s = now_s + pool.queue_timeout_s
            self.services.deadlines.keep(self)  # type: ignore[arg-type]  # the exchange has `expire`
            self.client.listener = self  # type: ignore[assignment]  # and is a listener
        return has_place

    def leave(self) -> None:
        """Give the place back."""
        if self.place is not None:
            place, self.place = self.place, None
            place.leave()

    def admitted(self) -> None:
        """Called by the places: this request has waited long enough."""
        if self.phase == "waiting" and not self.over:
            self.services.deadlines.drop(self)  # type: ignore[arg-type]
            self.waited_s += monotonic()
            self.client.listener = NOBODY
            self.dispatch()

    def turned_away(self, error: PoolFull) -> None:
        """Called by the places: another request waits in this one's stead."""
        if not self.over:
            self.services.deadlines.drop(self)  # type: ignore[arg-type]
            self.place = None
            self._shed(error, "queue_full")

    def waited_too_long(self) -> None:
        """The deadline has passed while it waited."""
        if self.place is not None and self.place.give_up(self):  # else it has got a place just now
            self.place = None
            seconds = self.plan.pool.queue_timeout_s
            text = f"The pool `{self.plan.pool.name}` had no place for this request within {seconds:g} s."
            self._shed(PoolFull(text, retry_after_s=1), "queue_timeout")

    def wait_no_longer(self) -> None:
        """Its end has come while it waited."""
        self.services.deadlines.drop(self)  # type: ignore[arg-type]
        if self.place is not None and self.place.give_up(self):
            self.place = None
        else:
            self.leave()

    def _shed(self, error: PoolFull, cause: str) -> None:
        self.services.meters.shed(cause).inc()
        self.failure = error
        self.pool_failed()

    # ------------------------------------------------------------------ what the caller may use

    def enrol(self, caller: Caller) -> None:
        """Count it as in flight, where its caller's use is limited. Raises RateLimited."""
        if caller.ledger is not None:
            caller.ledger.begin()
            self.ledger = caller.ledger

    def may_think(self, plan: Plan) -> bool:
        """Are there thinking tokens left for a plan that thinks? Where not, the client has got its error."""
        if self.ledger is None or plan.routing.mode is not Mode.THINKING:
            return True
        try:
            self.ledger.check_thinking(self.started_s)
        except RateLimited as error:
            self.refuse(error)
            self.finish(error.status)
            return False
        return True

    def charge(self, status: int, usage: Usage | None, thought: int, chunks: int) -> None:
        """Count what was used. Where the backend has not told (a client that left, a stream without usage), a chunk is
        a token and four bytes of the request are one: leaving early is no way to use more."""
        if self.ledger is None:
            return
        if usage is not None:
            self.ledger.use(usage.prompt_tokens + usage.completion_tokens, thought, monotonic())
        elif self.sent_s and status in (200, 499):
            self.ledger.use(len(self.plan.body) // 4 + chunks, thought, monotonic())

    def dismiss(self) -> None:
        """It is refused before it has begun: no longer in flight."""
        if self.ledger is not None and not self.over:
            self.over = True
            self.ledger.end()
