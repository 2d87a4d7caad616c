"""Decisions as policies are told of them."""

from router.decision import Decision
from router.mode import Mode, Reason


def decided(mode: str, reason: str, score: float | None) -> Decision:
    """A decision for the default profile."""
    return Decision(Mode(mode), Reason(reason), "", "default", score)
