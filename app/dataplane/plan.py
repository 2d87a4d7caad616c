"""A request's plan: who asks, what was decided, who shall answer, and with which body. Knows how to make none."""

import msgspec

from app.dataplane.routed_request import RoutedRequest
from app.dataplane.special import Special
from app.limits.ledger import Ledger
from app.metadata import Routing
from app.pools.pool import Pool
from app.settings import Route
from router.conversation import Conversation
from router.mode import Mode, Reason
from router.policies.controls import Controls
from router.profile import Profile

# A client's own word is never turned round behind its back: where it chose the mode, no other mode answers.
_CLIENT_REASONS = frozenset({Reason.CLIENT_MODEL, Reason.CLIENT_HEADER, Reason.CLIENT_FIELD, Reason.SOFT_SWITCH})


class Caller(msgspec.Struct, frozen=True):
    """Who asks: the tenant, the profiles that its key may choose by header (`*`: any), the key's own profile, the names
    that it may put in `model` (None: all), what its requests are charged to (None: nothing), and the key's id."""

    tenant: str = "default"
    profiles: tuple[str, ...] = ("*",)
    profile: str = ""
    names: frozenset[str] | None = None
    ledger: Ledger | None = None
    key: str = ""


class Plan(msgspec.Struct, frozen=True):
    """What will be done. `judge_s` is the time the judge took, 0.0 where none was asked."""

    request: RoutedRequest
    profile: Profile
    routing: Routing
    pool: Pool
    body: bytes
    adds_usage: bool
    judge_s: float
    conversation: Conversation
    route: Route | None
    switch: Mode | None
    special: Special | None = None
    affinity: int = 0
    """The session's hash, where the pool has replicas to choose from."""
    controls: Controls | None = None
    """What moves the profile's threshold, and wants to know what was decided."""

    @property
    def may_fall_back(self) -> bool:
        """May the other mode answer where the pool cannot?"""
        return (
            self.route is not None
            and not self.route.pool
            and self.profile.fallback
            and self.profile.mode is None
            and self.routing.reason not in _CLIENT_REASONS
        )
