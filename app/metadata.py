"""How a decision is told to the client: headers and the `routing` object. Knows their names; decides nothing."""

from dataclasses import dataclass

import msgspec

from router.decision import Decision
from router.mode import Mode, Reason

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Routing:
    """A decision and where it led. `fallback_from` names the pool that could not answer."""

    decision_id: str
    decision: Decision
    mode: Mode
    reason: Reason
    pool: str
    model: str
    fallback_from: str = ""

    def as_dict(self) -> dict[str, object]:
        """The `routing` object; absent facts are left out."""
        d = self.decision
        out: dict[str, object] = {
            "decision_id": self.decision_id,
            "mode": self.mode.value,
            "reason": self.reason.value,
            "because": d.because,
        }
        if d.score is not None:
            out["score"] = round(d.score, 4)
            out["threshold"] = d.threshold
        if d.judge:
            out["judge"] = d.judge
        out["profile"] = d.profile
        out["pool"] = self.pool
        out["model"] = self.model
        if d.budget is not None:
            out["budget"] = d.budget
        if self.fallback_from:
            out["fallback_from"] = self.fallback_from
        return out

    def json(self) -> bytes:
        """The `routing` object as JSON."""
        return _encode(self.as_dict())

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
