"""How much a request may think, in tokens: what the client asked for, what its effort means, what its score is worth.

Knows numbers; knows no field's name and no server.
"""

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class ThinkingBudget:
    """A profile's policy. All numbers are tokens; None means no limit.

    `by_effort` gives what an effort is worth, `by_score` pairs of (score from which on, tokens) in rising order of
    score, `cap` the most that anybody gets, whoever asks.
    """

    by_effort: Mapping[str, int] = field(default_factory=dict)
    by_score: tuple[tuple[float, int], ...] = ()
    cap: int | None = None

    def tokens(self, asked: int | None, effort: str, score: float | None) -> int | None:
        """The budget: the client's own number, else what its effort means, else the score's band; never above the cap.

        A score below the first band has no budget of its own.
        """
        budget = asked
        if budget is None and effort:
            budget = self.by_effort.get(effort)
        if budget is None and score is not None and self.by_score:
            band = bisect_right(self.by_score, score, key=_from) - 1
            budget = self.by_score[band][1] if band >= 0 else None
        if self.cap is None:
            return budget
        return self.cap if budget is None else min(budget, self.cap)


def _from(band: tuple[float, int]) -> float:
    return band[0]
