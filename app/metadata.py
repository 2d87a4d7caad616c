"""How a decision is told to the client: headers and the `routing` object. Knows their names; decides nothing."""

from typing import Any

import msgspec

from router.decision import Decision
from router.mode import Mode, Reason

_encode = msgspec.json.Encoder().encode


class RoutingObject(msgspec.Struct, omit_defaults=True, frozen=True):
    """The `routing` object on the wire; absent facts are left out."""

    decision_id: str
    mode: Mode
    reason: Reason
    because: str
    score: float | None = None
    threshold: float | None = None
    judge: str = ""
    profile: str = ""
    pool: str = ""
    model: str = ""
    budget: int | None = None
    fallback_from: str = ""


class Routing(msgspec.Struct, frozen=True):
    """A decision and where it led. `fallback_from` names the pool that could not answer."""

    decision_id: str
    decision: Decision
    mode: Mode
    reason: Reason
    pool: str
    model: str
    fallback_from: str = ""

    def wire(self) -> RoutingObject:
        """The `routing` object."""
        d = self.decision
        score = None if d.score is None else round(d.score, 4)
        return RoutingObject(
            self.decision_id,
            self.mode,
            self.reason,
            d.because,
            score,
            d.threshold,
            d.judge,
            d.profile,
            self.pool,
            self.model,
            d.budget,
            self.fallback_from,
        )

    def as_dict(self) -> dict[str, Any]:
        """The `routing` object as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self.wire())
        return plain

    def json(self) -> bytes:
        """The `routing` object as JSON."""
        return _encode(self.wire())

    def headers(self) -> list[tuple[bytes, bytes]]:
        """The `x-thinkgate-*` response headers; absent facts are left out."""
        d = self.decision
        out = [
            (b"x-thinkgate-decision-id", self.decision_id.encode()),
            (b"x-thinkgate-mode", self.mode.value.encode()),
            (b"x-thinkgate-reason", self.reason.value.encode()),
            (b"x-thinkgate-profile", d.profile.encode("latin-1", "replace")),
            (b"x-thinkgate-pool", self.pool.encode("latin-1", "replace")),
        ]
        if d.score is not None:
            out.append((b"x-thinkgate-score", b"%.4f" % d.score))
            out.append((b"x-thinkgate-threshold", b"%.4g" % (d.threshold or 0.0)))
        if d.judge:
            out.append((b"x-thinkgate-judge", d.judge.encode("latin-1", "replace")))
        if d.budget is not None:
            out.append((b"x-thinkgate-budget", b"%d" % d.budget))
        return out
