"""What the log needs of a store of decisions. An interface: sqlite.py is one."""

from collections.abc import Sequence
from typing import Protocol

import msgspec

from app.decisions.feedback import Feedback, Given
from app.decisions.record import DecisionRecord
from app.decisions.savings import HourSum
from app.decisions.shadow import Shadow, ShadowSum
from router.mode import Mode, Reason

SUMS_KEEP_S = 400 * 86_400.0
"""How long hourly sums are kept, or as long as decisions, whichever is longer: a year can be compared with the last."""


class StoreError(Exception):
    """The store cannot be used now; it may be later. The message holds nothing of a client's."""


class UnknownCursor(Exception):
    """The decision that a page was to begin behind is not there."""


class Query(msgspec.Struct, frozen=True):
    """A page of a tenant's decisions, the newest first; `before` is the id of the decision that it begins behind."""

    tenant: str
    limit: int
    before: str = ""
    mode: Mode | None = None
    reason: Reason | None = None


class DecisionStore(Protocol):
    """`write`, `forget` and `close` are called from the writer's thread alone, everything else from any thread."""

    def write(self, records: Sequence[DecisionRecord]) -> int:
        """Keep the records, all at once; the number of those that can never be kept. Raises StoreError.

        Records that are there already are left as they are, so that a batch may be tried again.
        """
        ...

    def forget(self, before_s: float, limit: int) -> int:
        """Delete at most `limit` decisions older than `before_s` (seconds since 1970); how many. Raises StoreError.

        So it is with feedback and shadows, and with hourly sums older than SUMS_KEEP_S.
        """
        ...

    def close(self) -> None:
        """Give back what writing holds; the next write opens it again."""
        ...

    def page(self, query: Query) -> list[DecisionRecord]:
        """A page. Raises StoreError or UnknownCursor."""
        ...

    def get(self, tenant: str, decision_id: str) -> DecisionRecord | None:
        """A tenant's decision, or None where the tenant has none of that name. Raises StoreError."""
        ...

    def give(self, tenant: str, feedback: Feedback, idempotency: str) -> Given:
        """Keep feedback on a tenant's decision, once for each `idempotency` that is not empty.

        Raises StoreError, UnknownDecision, TooMuchFeedback, or KeyReused where other feedback came under that name.
        """
        ...

    def feedback(self, tenant: str, decision_id: str) -> list[Feedback]:
        """What was said of a tenant's decision, the oldest first. Raises StoreError."""
        ...

    def keep_shadow(self, tenant: str, shadow: Shadow) -> None:
        """Keep a tenant's shadow, one a decision. Raises StoreError."""
        ...

    def shadow(self, tenant: str, decision_id: str) -> Shadow | None:
        """The shadow of a tenant's decision, or None. Raises StoreError."""
        ...

    def shadow_sums(self, tenant: str, from_s: float, to_s: float) -> list[ShadowSum]:
        """A tenant's shadows of a time (seconds since 1970), by profile and mode. Raises StoreError."""
        ...

    def sums(self, tenant: str, first_hour: int, last_hour: int) -> list[HourSum]:
        """A tenant's sums over the hours (since 1970) from `first_hour` to before `last_hour`, by profile, mode and
        band. Reads no decision. Raises StoreError."""
        ...
