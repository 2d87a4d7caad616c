"""An operator's policy for a scenario. A frozen value; knows nothing about where it was configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from router.budget import ThinkingBudget
from router.mode import Mode
from router.policies.escalation import Escalation
from router.policies.load_shedding import LoadShedding
from router.policies.think_ratio import ThinkRatio
from router.policies.token_budget import TokenBudget

Metadata = Literal["headers", "body", "both"]
ReasoningFields = Literal["both", "reasoning", "reasoning_content"]


@dataclass(frozen=True, slots=True)
class Profile:
    """`threshold`: thinking where score >= threshold. `mode`: a hard rule above everything that a client says.
    `effort_modes`: what `reasoning_effort` low and up means, for clients that always send `medium`.
    `budget`: how much a request may think (None: the client's own word alone). `rescue_tokens`: the most tokens of an
    answer given where thinking left none (0: none is given).
    `think_ratio`: the share of judged requests that shall think; then `threshold` is where its controller begins.
    `explore`: the share of judged conversations whose first answer gets the mode that the score speaks against.
    `load_shedding`, `token_budget`: what raises the threshold for want of capacity or of tokens (None: nothing does).
    `escalation`: which instruct answers are held back at first, and may be dropped for a thinking one (None: none).
    `session_margin`: within a session the mode changes only where the score is at least this far beyond the threshold.
    """

    name: str = "default"
    threshold: float = 0.5
    mode: Mode | None = None
    effort_modes: Mapping[str, Mode | None] = field(default_factory=dict)
    session_margin: float = 0.1
    metadata: Metadata = "both"
    reasoning: ReasoningFields = "both"
    fallback: bool = True
    budget: ThinkingBudget | None = None
    rescue_tokens: int = 0
    think_ratio: ThinkRatio | None = None
    explore: float = 0.0
    load_shedding: LoadShedding | None = None
    token_budget: TokenBudget | None = None
    escalation: Escalation | None = None
    tuned: bool = field(init=False)
    """Is there anything beyond the usual relay? One test for all of it."""
    controlled: bool = field(init=False)
    """Does anything move the threshold?"""

    def __post_init__(self) -> None:
        tuned = self.budget is not None or self.rescue_tokens > 0 or self.escalation is not None
        object.__setattr__(self, "tuned", tuned)
        moved = self.think_ratio is not None or self.load_shedding is not None or self.token_budget is not None
        object.__setattr__(self, "controlled", moved)
