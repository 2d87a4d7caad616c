"""A random judge that repeats itself. Knows the text's digest only."""

from hashlib import blake2b

from router.conversation import Conversation
from router.judges.base import Feature, Judgement


class RandomJudge:
    """Uniform in [0, 1), drawn from a hash of seed and text: a control, with the same decision for the same text."""

    name = "random"
    version = "1"

    def __init__(self, seed: int = 0) -> None:
        self._key = str(seed).encode()[:64]

    def score(self, conversation: Conversation) -> Judgement:
        """A number that depends on the judged text and the seed alone."""
        digest = blake2b(conversation.work.encode("utf-8", "surrogatepass"), digest_size=7, key=self._key).digest()
        return Judgement(int.from_bytes(digest, "big") / 2**56, self.version)

    def explain(self, conversation: Conversation) -> Judgement:
        """The same number, and that it means nothing."""
        return Judgement(self.score(conversation).score, self.version, (Feature("chance", 0.0),))
