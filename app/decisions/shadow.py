"""What the other mode did with a request, beside what the client got. Values and sums; knows no store and no pool."""

import msgspec

from router.mode import Mode


class Shadow(msgspec.Struct, frozen=True):
    """A shadow of a decision: `mode` is the shadow's, the client got the other. Tokens are those generated, thinking
    included, seconds those of the whole answer; `client_tokens` and `client_seconds` are of the client's answer.
    `answer` is kept where prompts are (decisions.store_prompts), cut like them; else it is None."""

    decision_id: str
    time: float
    profile: str
    mode: Mode
    tokens: int
    seconds: float
    client_tokens: int
    client_seconds: float
    answer: str | None = None


class ShadowSum(msgspec.Struct, frozen=True):
    """Sums over the shadows of one profile and mode: how many, what they used more than the clients' answers (tokens,
    seconds; negative for less), and the squares of both."""

    profile: str
    mode: Mode
    pairs: int
    tokens: float
    tokens_squared: float
    seconds: float
    seconds_squared: float
