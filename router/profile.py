"""An operator's policy for a scenario. A frozen value; knows nothing about where it was configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from router.mode import Mode

Metadata = Literal["headers", "body", "both"]
ReasoningFields = Literal["both", "reasoning", "reasoning_content"]


@dataclass(frozen=True, slots=True)
class Profile:
    """`threshold`: thinking where score >= threshold. `mode`: a hard rule above everything that a client says.
    `effort_modes`: what `reasoning_effort` low and up means, for clients that always send `medium`.
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
