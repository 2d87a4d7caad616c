"""What a judge is: text in, P(thinking helps) out. Knows no particular judge."""

from dataclasses import dataclass
from typing import Protocol

from router.conversation import Conversation


class JudgeError(Exception):
    """A judge that cannot be made or cannot answer; the message says why in words for an operator."""


@dataclass(frozen=True, slots=True)
class Feature:
    """One thing that moved the score: a name a person understands, and its push in log-odds (+ towards thinking)."""

    name: str
    push: float


@dataclass(frozen=True, slots=True)
class Judgement:
    """A judge's verdict: `score` is P(thinking helps) in [0, 1]; `features` the few things that moved it, strongest
    first (empty unless they were asked for)."""

    score: float
    version: str
    features: tuple[Feature, ...] = ()


class Judge(Protocol):
    """Scores a conversation. Implementations are thread-safe, deterministic unless they say otherwise, and bounded in
    time whatever the input's length."""

    name: str
    version: str

    def score(self, conversation: Conversation) -> Judgement:
        """P(thinking helps) for the conversation, without features: this is the hot path."""
        ...

    def explain(self, conversation: Conversation) -> Judgement:
        """The same score, with the features that moved it; may be slower."""
        ...
