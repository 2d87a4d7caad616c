"""A judge with one answer. Knows nothing of the conversation."""

from router.conversation import Conversation
from router.judges.base import Feature, JudgeError, Judgement


class ConstantJudge:
    """Gives every conversation the same score: 0 never thinks, 1 always does (with any threshold above 0)."""

    name = "constant"
    version = "1"

    def __init__(self, score: float = 0.0) -> None:
        if not 0.0 <= score <= 1.0:
            raise JudgeError(f"constant judge: the score must lie in [0, 1], not {score}")
        self._judgement = Judgement(float(score), self.version)

    def score(self, conversation: Conversation) -> Judgement:
        """The constant."""
        return self._judgement

    def explain(self, conversation: Conversation) -> Judgement:
        """The constant, and that it is one."""
        return Judgement(self._judgement.score, self.version, (Feature("a constant score", 0.0),))
