"""Whether an instruct draft is good enough to be given. Knows token log-probabilities; knows no stream and no time."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Escalation:
    """For scores less than `band` below the threshold the answer is held back for at most `tokens` tokens and `time_s`
    seconds. Where the mean log-probability (natural, per token) of what is held lies below `bound`, it is dropped."""

    band: float = 0.2
    tokens: int = 24
    time_s: float = 1.5
    bound: float = -0.6


class DraftWatch:
    """Watches one draft; `tokens` counts those that it was told of, of which the first `policy.tokens` are judged."""

    __slots__ = ("_judged", "_sum", "policy", "tokens")

    def __init__(self, policy: Escalation) -> None:
        self.policy = policy
        self.tokens = 0
        self._judged = 0
        self._sum = 0.0

    @property
    def mean(self) -> float:
        """Mean log-probability of what is judged; 0.0 where there is nothing."""
        return self._sum / self._judged if self._judged else 0.0

    def add(self, logprobs: Iterable[float]) -> None:
        """The next tokens' log-probabilities, each 0 at most."""
        for logprob in logprobs:
            self.tokens += 1
            if self._judged < self.policy.tokens:
                self._judged += 1
                self._sum += min(0.0, logprob)

    def verdict(self, ended: bool) -> bool | None:
        """Is it to be given? None: not known yet. `ended`: no more can be waited for. A draft about which nothing was
        told is given."""
        policy = self.policy
        if self._sum < policy.bound * policy.tokens:
            return False  # the sum only falls: whatever comes, the mean stays below
        if ended or self._judged >= policy.tokens:
            return self.mean >= policy.bound
        return None
