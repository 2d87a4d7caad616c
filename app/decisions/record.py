"""One decision as the log keeps it, from request to end. A value; knows no store and no wire."""

import msgspec

from router.decision import Decision
from router.mode import Mode, Reason

PROMPT_CHARS = 2000
"""A longer prompt is cut: the log is for looking through decisions, not an archive of texts."""


class DecisionRecord(msgspec.Struct, frozen=True, gc=False):
    """The fields are the columns of a store, in order. Nothing here holds a reference to the request.

    `time` is when the request was over, in seconds since 1970; `api` the endpoint's short name; `asked` the `model`
    that the client named; `status` what the client got, 499 where it left. `mode`, `reason`, `pool` and `model` are
    those that answered; `fallback_from` names the pool that could not. Token counts and `ttft_s` (to the first token of
    a stream) are None where nobody told. `propensity` is the probability with which the mode was chosen, where chance
    could decide (the profile explores), else None. `because` is empty where the score alone decided: `explained` says
    it then.
    """

    id: str
    time: float
    tenant: str
    api: str
    asked: str
    profile: str
    mode: Mode
    reason: Reason
    because: str
    score: float | None
    threshold: float | None
    judge: str
    pool: str
    model: str
    fallback_from: str
    status: int
    stream: bool
    prompt_tokens: int | None
    reasoning_tokens: int | None
    answer_tokens: int | None
    ttft_s: float | None
    duration_s: float
    judge_s: float
    prompt: str | None = None
    propensity: float | None = None

    def explained(self) -> "DecisionRecord":
        """The same with `because` in words: writing them is left to the few records that are read."""
        if self.because or self.score is None or self.threshold is None:
            return self
        mode = Mode.THINKING if self.score >= self.threshold else Mode.INSTRUCT
        decision = Decision(mode, self.reason, "", self.profile, self.score, self.threshold)
        return msgspec.structs.replace(self, because=decision.by_score())
