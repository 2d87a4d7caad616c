"""Keeps the share of judged requests that think at a target, by moving the threshold. Knows scores' outcomes; knows no
time, no request and no other policy.

An integrator in logit space, one step a judged request:

    logit(threshold) += gain * (thought - target)

Its fixed point is the threshold that the share `target` of the scores reaches, whatever their distribution (stochastic
approximation, Robbins and Monro 1951). The loop has one state and no delay, so its mean response is of the first order:
no overshoot, no oscillation. The state is the threshold itself and is clipped to its bounds: nothing winds up there.
It counts requests and not seconds: in a quiet night the threshold stays.

Several gateways hold the target together: each takes the steps of all, those of the others as it hears of them. Such
steps are late. Late ones count less, the more of them come at once, for what was decided while nobody knew of it must
not move the threshold further than it can come back (the fixed point stays: thought and not thought count alike). And
each goes a small part of the way to the others' mean, weighted by experience, so that they agree wherever they began.
"""

from dataclasses import dataclass
from math import exp, log

from router.policies.peers import Heard, Word

_GAIN = 12.0
"""Logits a request, times the window. Scores whose logits spread by about 2 have a density of about 1/6 a logit at the
threshold, so the share comes to within 1/e of its target in half a window."""
_LATE = 4.0
"""Late steps of 1/4 of a window count half as much: the gain of the loop stays below 1/2 however many there are."""
_AGREE = 0.05
"""The part of the way to the others' mean that is gone at each exchange."""


@dataclass(frozen=True, slots=True)
class ThinkRatio:
    """`target` is the share of judged requests that think, in (0, 1); `window` the number of judged requests in which a
    change of the traffic is made up for; the threshold stays within [min_threshold, max_threshold]."""

    target: float
    window: int = 500
    min_threshold: float = 0.02
    max_threshold: float = 0.98


class RatioController:
    """`base` is the threshold now, `share` the recent share of judged requests that think, over about a window."""

    __slots__ = ("_agrees", "_bounds", "_judged", "_logit", "_thought", "base", "policy", "share")

    def __init__(self, policy: ThinkRatio, threshold: float) -> None:
        self.policy = policy
        self._bounds = (_logit(policy.min_threshold), _logit(policy.max_threshold))
        self._logit = 0.0
        self.base = threshold
        self.share = policy.target
        self._judged = self._thought = 0
        self._agrees = False
        self._move_to(_logit(min(max(threshold, policy.min_threshold), policy.max_threshold)))

    def judged(self, thought: bool) -> None:
        """A request has been judged; would it think, were there no want of capacity or tokens?"""
        policy = self.policy
        self._judged += 1
        self._thought += thought
        self.share += (thought - self.share) / policy.window
        self._move_to(self._logit + _GAIN / policy.window * (thought - policy.target))

    def tell(self, now_s: float) -> Word:
        """Requests judged here, those of them that thought, and where the threshold is, in logits."""
        return (self._judged, self._thought, self._logit)

    def hear(self, others: Heard, now_s: float) -> None:
        """Take the others' steps since the last time, and come nearer to them."""
        if not others:
            return
        policy = self.policy
        judged = thought = 0.0
        for before, now in others:
            if before is not None and now[0] >= before[0]:
                judged += now[0] - before[0]
                thought += now[1] - before[1]
        if judged:
            self.share += (thought / judged - self.share) * (1.0 - (1.0 - 1.0 / policy.window) ** judged)
            late = 1.0 + _LATE * judged / policy.window
            self._move_to(self._logit + _GAIN / policy.window / late * (thought - policy.target * judged))
        weights = [1.0 + min(policy.window, word[0]) for word in (self.tell(now_s), *(now for _, now in others))]
        logits = [self._logit, *(now[2] for _, now in others)]
        mean = sum(w * logit for w, logit in zip(weights, logits, strict=True)) / sum(weights)
        part = _AGREE if self._agrees else 1.0  # who comes new begins where the others are
        self._agrees = True
        self._move_to(self._logit + part * (mean - self._logit))

    def succeed(self, old: "RatioController") -> None:
        """Take over after a reload: the threshold stays, within the new bounds."""
        self._move_to(_logit(min(max(old.base, self.policy.min_threshold), self.policy.max_threshold)))
        self.share, self._judged, self._thought = old.share, old._judged, old._thought
        self._agrees = old._agrees and old.policy == self.policy

    def _move_to(self, logit: float) -> None:
        low, high = self._bounds
        self._logit = low if logit < low else high if logit > high else logit
        self.base = round(1.0 / (1.0 + exp(-self._logit)), 3)


def _logit(p: float) -> float:
    return log(p / (1.0 - p))
