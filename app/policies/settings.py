"""What an operator may say about policies. Knows the schema; moves nothing."""

from pydantic import Field, model_validator

from app.section import Seconds, Section
from router.policies import escalation, load_shedding, think_ratio, token_budget


class ThinkRatio(Section):
    """A target share of thinking. The threshold is then moved so that the share of judged requests that think comes to
    it and stays there; `threshold` is where that begins."""

    target: float = Field(gt=0, lt=1, description="Share of the judged requests that think.")
    window: int = Field(
        500, ge=20, le=1_000_000, description="Judged requests in which a change of the traffic is made up for."
    )
    min_threshold: float = Field(0.02, ge=0.001, le=0.999, description="The threshold never goes below.")
    max_threshold: float = Field(0.98, ge=0.001, le=0.999, description="The threshold never goes above.")

    @model_validator(mode="after")
    def _bounds(self) -> "ThinkRatio":
        if self.min_threshold > self.max_threshold:
            raise ValueError("min_threshold is above max_threshold")
        return self

    def to_policy(self) -> think_ratio.ThinkRatio:
        """The router's frozen value."""
        return think_ratio.ThinkRatio(self.target, self.window, self.min_threshold, self.max_threshold)


class LoadShedding(Section):
    """While the thinking pool is under pressure the threshold is raised, so that judged requests near it are answered
    in instruct mode, with the reason `load`. Pressure is 1 where all places of the pool (`max_in_flight`,
    `max_connections`) are taken, and more where requests wait for one; or by vLLM's own word, where the KV cache is
    full or 8 requests wait at each replica."""

    margin: float = Field(0.3, gt=0, le=1, description="What is added to the threshold at most.")
    start: float = Field(0.8, gt=0, le=10, description="Pressure at which it begins.")
    full: float = Field(1.2, gt=0, le=10, description="Pressure from which on the whole margin is added.")
    hysteresis: float = Field(0.1, ge=0, le=1, description="It ends so far below `start`.")
    attack_s: Seconds = Field(3, description="Time constant of the margin when it grows.")
    release_s: Seconds = Field(30, description="Time constant of the margin when it shrinks.")

    @model_validator(mode="after")
    def _rising(self) -> "LoadShedding":
        if self.full <= self.start - self.hysteresis or self.start <= self.hysteresis:
            raise ValueError("needs start - hysteresis above 0 and below full")
        return self

    def to_policy(self) -> load_shedding.LoadShedding:
        """The router's frozen value."""
        return load_shedding.LoadShedding(
            self.margin, self.start, self.full, self.hysteresis, self.attack_s, self.release_s
        )


class TokenBudget(Section):
    """Thinking tokens that the profile's requests may use. As they run low the threshold rises smoothly, up to where no
    judged request thinks (reason `budget`); who asks for thinking himself gets it, and it counts."""

    thinking_tokens_per_minute: int | None = Field(None, ge=1, description="Tokens of thinking a minute.")
    thinking_tokens_per_hour: int | None = Field(None, ge=1, description="Tokens of thinking an hour.")
    burst: float = Field(
        0.1,
        ge=0.01,
        le=0.9,
        description="Share of a budget that may be spent at once. The rest flows in evenly, and is the most that "
        "steady traffic spends.",
    )
    tenants: bool = Field(
        False,
        description="Raise the threshold too as a caller's own `thinking_tokens_per_hour` (of its key or tenant) run "
        "low: from half of them on.",
    )

    @model_validator(mode="after")
    def _something(self) -> "TokenBudget":
        if self.thinking_tokens_per_minute is None and self.thinking_tokens_per_hour is None and not self.tenants:
            raise ValueError("needs thinking_tokens_per_minute, thinking_tokens_per_hour, or tenants")
        return self

    def to_policy(self) -> token_budget.TokenBudget:
        """The router's frozen value."""
        return token_budget.TokenBudget(
            self.thinking_tokens_per_minute, self.thinking_tokens_per_hour, self.burst, self.tenants
        )


class Escalation(Section):
    """For scores just below the threshold the instruct answer is held back at first, and its tokens' log-probabilities
    are watched. Where their mean falls under the bound the draft is dropped, and thinking answers (reason `escalated`).
    Chat completions only."""

    band: float = Field(0.2, gt=0, le=1, description="How far below the threshold a score may be.")
    tokens: int = Field(24, ge=1, le=4096, description="Most tokens that are held back.")
    time_ms: float = Field(1500, gt=0, le=60_000, description="Longest time that they are, from the first one on.")
    bound: float = Field(
        -0.6,
        ge=-20,
        lt=0,
        description="Lowest mean log-probability (natural, per token) of a draft that is given.",
    )

    def to_policy(self) -> escalation.Escalation:
        """The router's frozen value."""
        return escalation.Escalation(self.band, self.tokens, self.time_ms / 1e3, self.bound)
