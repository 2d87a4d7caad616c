"""What somebody says of a decision afterwards. Values; knows no store and no wire but its own JSON."""

import secrets
import time
from enum import StrEnum

import msgspec

from router.mode import Mode

NOTE_CHARS = 2000
MOST_A_DECISION = 100
"""More verdicts on one decision are refused: a decision is judged by people, not by a loop."""


class Verdict(StrEnum):
    """Did the mode fit?"""

    GOOD_FIT = "good_fit"
    UNDERPOWERED = "underpowered"
    OVERPROVISIONED = "overprovisioned"
    FAILED = "failed"


class Feedback(msgspec.Struct, frozen=True):
    """A verdict on a decision, as it is stored and shown. `time` is in seconds since 1970; `correct` and `note` are
    None where nobody said anything."""

    id: str
    decision_id: str
    time: float
    verdict: Verdict
    correct: bool | None = None
    note: str | None = None
    object: str = "feedback"

    def says_the_same(self, other: "Feedback") -> bool:
        """Is it the same verdict, given once more?"""
        mine = (self.decision_id, self.verdict, self.correct, self.note)
        return mine == (other.decision_id, other.verdict, other.correct, other.note)


class Given(msgspec.Struct, frozen=True):
    """Feedback that is in the store. `mode` is the decision's, or None where the feedback had been there before."""

    feedback: Feedback
    mode: Mode | None


class UnknownDecision(Exception):
    """The tenant has no such decision."""


class KeyReused(Exception):
    """Other feedback was given under this idempotency key."""


class TooMuchFeedback(Exception):
    """The decision has MOST_A_DECISION verdicts already."""


def new_feedback(decision_id: str, verdict: Verdict, correct: bool | None, note: str | None) -> Feedback:
    """Feedback of now, with an id of its own."""
    now_s = time.time()
    return Feedback(f"fb_{int(now_s):08x}{secrets.token_hex(8)}", decision_id, round(now_s, 3), verdict, correct, note)


def before(kept: Feedback, again: Feedback) -> Given:
    """The answer to feedback whose idempotency key is known. Raises KeyReused."""
    if not kept.says_the_same(again):
        raise KeyReused
    return Given(kept, None)
