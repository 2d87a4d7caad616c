"""How a decision is told to the client: headers and the `routing` object. Knows their names; decides nothing."""

from functools import cache
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
    judgement: str = ""
    rescue: str = ""
    draft_tokens: int = 0


class Routing(msgspec.Struct, frozen=True):
    """A decision and where it led. `fallback_from` names the pool that could not answer.

    `judgement` holds the words of a model that judged itself, `rescue` how an answer was got that thinking left no room
    for. Both are known when the head of a stream has gone out, so they are told in the body alone.
    `draft_tokens` is the length of an instruct draft that was dropped.
    """

    decision_id: str
    decision: Decision
    mode: Mode
    reason: Reason
    pool: str
    model: str
    fallback_from: str = ""
    judgement: str = ""
    rescue: str = ""
    draft_tokens: int = 0

    def wire(self) -> RoutingObject:
        """The `routing` object."""
        d = self.decision
        score = None if d.score is None else round(d.score, 4)
        return RoutingObject(
            self.decision_id,
            self.mode,
            self.reason,
            d.because or d.by_score(),
            score,
            d.threshold,
            d.judge,
            d.profile,
            self.pool,
            self.model,
            d.budget,
            self.fallback_from,
            self.judgement,
            self.rescue,
            self.draft_tokens,
        )

    def as_dict(self) -> dict[str, Any]:
        """The `routing` object as plain values."""
        plain: dict[str, Any] = msgspec.to_builtins(self.wire())
        return plain

    def json(self) -> bytes:
        """The `routing` object as JSON: the same as `wire`, from pieces that are written once."""
        d = self.decision
        if d.budget is not None or self.fallback_from or self.judgement or self.rescue or self.draft_tokens:
            return _encode(self.wire())
        front, back = _static_json(self.mode, self.reason, d.threshold, d.judge, d.profile, self.pool, self.model)
        decision_id = self.decision_id.encode()
        if d.score is None:
            return b'{"decision_id":"%b"%b,"because":%b%b' % (decision_id, front, _encode(d.because), back)
        score = b"%.4f" % d.score
        if d.because:
            because = _encode(d.because)
        else:
            sign = b">=" if d.mode is Mode.THINKING else b"<"
            because = b'"score %b %b threshold %b"' % (score, sign, _threshold_text(d.threshold))
        return b'{"decision_id":"%b"%b,"because":%b,"score":%b%b' % (decision_id, front, because, score, back)

    def lines(self) -> bytes:
        """The `x-thinkgate-*` response headers, as lines; absent facts are left out."""
        d = self.decision
        static = _static_lines(self.mode, self.reason, d.profile, self.pool, d.judge)
        decision_id = self.decision_id.encode()
        out = b"x-thinkgate-decision-id: %b\r\n%b" % (decision_id, static)
        if d.score is not None:
            out += b"x-thinkgate-score: %.4f\r\nx-thinkgate-threshold: %b\r\n" % (d.score, _threshold_text(d.threshold))
        if d.budget is not None:
            out += b"x-thinkgate-budget: %d\r\n" % d.budget
        return out


@cache  # all arguments come from the configuration or are bounded sets
def _static_lines(mode: Mode, reason: Reason, profile: str, pool: str, judge: str) -> bytes:
    pairs = {"mode": mode, "reason": reason, "profile": profile, "pool": pool, "judge": judge}
    return "".join(f"x-thinkgate-{name}: {value}\r\n" for name, value in pairs.items() if value).encode(
        "latin-1", "replace"
    )


@cache  # likewise
def _static_json(
    mode: Mode, reason: Reason, threshold: float | None, judge: str, profile: str, pool: str, model: str
) -> tuple[bytes, bytes]:
    front = {"mode": mode, "reason": reason}
    back: dict[str, Any] = {"threshold": threshold, "judge": judge, "profile": profile, "pool": pool, "model": model}
    back = {name: value for name, value in back.items() if value not in (None, "")}
    return b"," + _encode(front)[1:-1], b"," + _encode(back)[1:]


@cache  # profiles have few thresholds, and a controller moves them in steps
def _threshold_text(threshold: float | None) -> bytes:
    return b"%.4g" % (threshold or 0.0)
