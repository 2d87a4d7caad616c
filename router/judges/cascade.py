"""When a cheap judge's word is enough, and what to make of a second one. Knows scores; asks nobody."""

from dataclasses import dataclass

from router.judges.base import JudgeError


@dataclass(frozen=True, slots=True)
class CascadePolicy:
    """Ask a second judge only where the first one's score lies within `margin` of the threshold.

    The two are then averaged with `weight` on the second, so that a hesitant second judge leaves the first one's word.
    """

    margin: float = 0.15
    weight: float = 0.7

    def __post_init__(self) -> None:
        if not 0.0 <= self.margin <= 1.0 or not 0.0 <= self.weight <= 1.0:
            raise JudgeError("cascade: margin and weight lie in [0, 1]")

    def should_ask(self, score: float, threshold: float) -> bool:
        """Whether the first score leaves the mode open."""
        return abs(score - threshold) <= self.margin

    def combined(self, first: float, second: float | None) -> float:
        """The score to act on; the first one's where the second judge gave none."""
        return first if second is None else (1.0 - self.weight) * first + self.weight * second
