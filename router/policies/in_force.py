"""The threshold that is in force at a moment, and what has raised it. A value; knows no controller."""

from typing import Literal

import msgspec

NEVER = 1.01
"""A threshold that no score reaches."""


class InForce(msgspec.Struct, frozen=True, gc=False):
    """`base` is the threshold before anything was saved, in [0, 1.01]; the margins are added to it for want of capacity
    (`load`) and of tokens (`budget`). The larger margin counts, not their sum."""

    base: float
    load: float = 0.0
    budget: float = 0.0

    @property
    def threshold(self) -> float:
        """Thinking where score >= threshold. In steps of 0.001, so that texts made of it can be kept."""
        return min(NEVER, round(self.base + max(self.load, self.budget), 3))

    @property
    def raised(self) -> bool:
        """Has load or budget raised it?"""
        return self.load > 0.0 or self.budget > 0.0

    @property
    def cause(self) -> Literal["load", "budget"]:
        """Which margin it is that counts."""
        return "load" if self.load >= self.budget else "budget"
