"""The configuration's schema: what an operator may write, with defaults, units and help. Knows no file and no I/O."""

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from app.console.settings import Console as Console
from app.decisions.url import check_url
from app.keys.settings import Auth as Auth
from app.keys.settings import Key as Key
from app.limits.settings import Tenant as Tenant
from app.observing.settings import AccessLog as AccessLog
from app.observing.settings import Tracing as Tracing
from app.policies.settings import Escalation, LoadShedding, ThinkRatio, TokenBudget
from app.pools.settings import Health as Health
from app.pools.settings import Pool as Pool
from app.pools.settings import Retries as Retries
from app.pools.settings import Timeouts as Timeouts
from app.section import Seconds as Seconds
from app.section import Section as Section
from app.shadowing.settings import ShadowSettings
from app.state.settings import State as State
from router.budget import ThinkingBudget
from router.mode import Mode
from router.profile import Metadata, Profile, ReasoningFields


class Server(Section):
    """The listening side."""

    host: str = Field("127.0.0.1", description="Address to listen on. Without `auth`, loopback only.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    listeners: int = Field(
        8, ge=1, le=64, description="SO_REUSEPORT listeners: new connections are accepted in turns, one a listener."
    )
    workers: int = Field(
        1,
        ge=1,
        le=64,
        description="Processes that share the port, each with `listeners` of its own; more than one need a supervising "
        "process beside them (docs/operations.md, Several workers).",
    )
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Larger request bodies get 413.")
    max_header_bytes: int = Field(
        65_536, ge=1024, description="Larger request heads (request line and headers) get 431."
    )
    header_timeout_s: Seconds = Field(
        10, description="Longest time for a request's head, from its first byte to its end; then 408."
    )
    body_timeout_s: Seconds = Field(
        30,
        description="Longest wait for the next part of a request body; then 408. A body has to bring 1 KiB a second on "
        "the average, beside.",
    )
    drain_delay_s: float = Field(
        0,
        ge=0,
        le=3600,
        description="How long the gateway goes on taking requests after SIGTERM, while `/health/ready` says 503 and "
        "answers close their connections: the time that a balancer needs to notice.",
    )
    drain_timeout_s: Seconds = Field(
        30, description="How long open streams may finish after that. What is left then ends with an error."
    )


class Route(Section):
    """What a client-visible alias means."""

    family: str = Field("generic-pair", description="How its models are told to think or not (docs/routing.md).")
    instruct: str = Field("", description="Pool that answers without thinking.")
    thinking: str = Field("", description="Pool that answers with thinking.")
    pool: str = Field("", description="The one pool of a hybrid model, instead of `instruct` and `thinking`.")
    profile: str = Field("default", description="Profile whose policy applies.")

    @model_validator(mode="after")
    def _pools(self) -> "Route":
        if self.pool and (self.instruct or self.thinking):
            raise ValueError("takes either `pool` or `instruct` and `thinking`, not both")
        if not self.pool and not (self.instruct and self.thinking):
            raise ValueError("needs `instruct` and `thinking`, or `pool` for a hybrid model")
        return self

    def pool_for(self, mode: Mode) -> str:
        """The pool that answers in `mode`."""
        return self.pool or (self.thinking if mode is Mode.THINKING else self.instruct)


class QuestionSettings(Section):
    """The question that the llm and cascade judges ask. Tokens are compared without white space and case."""

    text: str = Field("", description="Another question than the built-in one; it is appended as a user message.")
    yes: list[str] = Field(default_factory=list, description="Tokens that mean: thinking helps. Empty: y, yes, 是.")
    no: list[str] = Field(default_factory=list, description="Tokens that mean: it does not. Empty: n, no, 否, 不.")


class JudgeSettings(Section):
    """The judge and what happens where it fails."""

    kind: Literal["linear", "heuristic", "constant", "random", "encoder", "llm", "cascade"] = Field(
        "linear",
        description="Which judge. `llm` asks a backend one question; `cascade` asks it only where `linear` is unsure.",
    )
    path: str = Field("", description="Directory of other weights (linear) or of the ONNX classifier (encoder).")
    timeout_ms: float | None = Field(
        None,
        gt=0,
        description="Longest wait for a judge that asks a backend (llm, cascade; 1000 where unset). An embedded judge "
        "is bounded in time by itself.",
    )
    pool: str = Field("", description="Pool that the llm and cascade judges ask; empty: the route's Instruct pool.")
    margin: float = Field(0.15, ge=0, le=1, description="The cascade asks where the score is this near the threshold.")
    weight: float = Field(0.7, ge=0, le=1, description="Weight of the backend's word in a cascade.")
    question: QuestionSettings = Field(default_factory=QuestionSettings)
    on_failure: Mode = Field(Mode.INSTRUCT, description="Mode used where the judge fails and no session knows better.")
    score: float = Field(0.5, ge=0, le=1, description="The constant judge's score.")
    seed: int = Field(0, description="The random judge's seed.")


EffortMode = Literal["instruct", "thinking", "auto"]


Tokens = Annotated[int, Field(ge=1)]


class ScoreBand(Section):
    """Scores from `at_least` up to the next band."""

    at_least: float = Field(ge=0, le=1, description="The lowest score of the band.")
    tokens: Tokens = Field(description="Most thinking tokens for a score in it.")


class BudgetSettings(Section):
    """How many tokens a request may think; sent as `thinking_token_budget` to Thinking backends. The first that says
    something counts: the client's own number, its effort, the score; then the cap."""

    effort: dict[Literal["low", "medium", "high", "xhigh", "max"], Tokens] = Field(
        default_factory=dict, description="What `reasoning_effort` is worth, in tokens."
    )
    score: list[ScoreBand] = Field(default_factory=list, description="What the judge's score is worth, band by band.")
    cap: Tokens | None = Field(None, description="The most that anybody gets, whoever asks.")

    @field_validator("score")
    @classmethod
    def _rising(cls, value: list[ScoreBand]) -> list[ScoreBand]:
        if [band.at_least for band in value] != sorted({band.at_least for band in value}):
            raise ValueError("must be in rising order of at_least")
        return value

    def to_budget(self) -> ThinkingBudget | None:
        """The router's frozen value; None where nothing is limited."""
        bands = tuple((band.at_least, band.tokens) for band in self.score)
        if not self.effort and not bands and self.cap is None:
            return None
        return ThinkingBudget({str(effort): tokens for effort, tokens in self.effort.items()}, bands, self.cap)


class ProfileSettings(Section):
    """A policy for a scenario."""

    threshold: float = Field(0.5, ge=0, le=1.01, description="Thinking where score >= threshold; above 1: never.")
    think_ratio: ThinkRatio | None = Field(
        None, description="Move the threshold so that this share of the judged requests thinks (docs/policies.md)."
    )
    load_shedding: LoadShedding | None = Field(
        None, description="Raise the threshold while the thinking pool is under pressure."
    )
    token_budget: TokenBudget | None = Field(None, description="Raise the threshold as thinking tokens run low.")
    escalation: Escalation | None = Field(
        None,
        description="Hold instruct answers back at first where the judge was unsure, and let thinking answer instead.",
    )
    mode: Mode | None = Field(None, description="A hard rule above all that a client says: instruct or thinking.")
    effort: dict[Literal["low", "medium", "high", "xhigh", "max"], EffortMode] = Field(
        default_factory=dict, description="What `reasoning_effort` means; `auto` leaves it to the judge."
    )
    session_margin: float = Field(
        0.1, ge=0, le=1, description="Within a session the mode changes only this far beyond the threshold."
    )
    metadata: Metadata = Field("both", description="Where routing metadata goes: headers, body or both.")
    reasoning: ReasoningFields = Field(
        "both", description="Name of the reasoning field in answers; clients are split between the two."
    )
    thinking_budget: BudgetSettings = Field(default_factory=BudgetSettings, description="Limits of thinking.")
    shadow: ShadowSettings | None = Field(
        None, description="Let the other mode answer a share of the requests too, for the decision log alone."
    )
    explore: float = Field(
        0,
        ge=0,
        le=0.5,
        description="Share of judged conversations whose first answer gets the other mode than the score says, so that "
        "its outcomes become known (docs/learning.md). Never where a client, a session or a limit decides.",
    )
    rescue: bool = Field(
        False,
        description="Thinking that ends by `length` with no answer gets one in the same response, beyond the client's "
        "max_tokens.",
    )
    rescue_tokens: int = Field(1024, ge=1, description="Most tokens of an answer that a rescue gives.")
    fallback: bool = Field(True, description="Let the other mode answer where the chosen pool cannot be reached.")

    def to_profile(self, name: str) -> Profile:
        """The router's frozen value."""
        efforts: dict[str, Mode | None] = {k: None if v == "auto" else Mode(v) for k, v in self.effort.items()}
        return Profile(
            name=name,
            threshold=self.threshold,
            mode=self.mode,
            effort_modes=efforts,
            session_margin=self.session_margin,
            metadata=self.metadata,
            reasoning=self.reasoning,
            fallback=self.fallback,
            budget=self.thinking_budget.to_budget(),
            rescue_tokens=self.rescue_tokens if self.rescue else 0,
            think_ratio=None if self.think_ratio is None else self.think_ratio.to_policy(),
            explore=self.explore,
            load_shedding=None if self.load_shedding is None else self.load_shedding.to_policy(),
            token_budget=None if self.token_budget is None else self.token_budget.to_policy(),
            escalation=None if self.escalation is None else self.escalation.to_policy(),
        )


class SessionSettings(Section):
    """How conversations are recognised."""

    ttl_s: Seconds = Field(3600, description="A session is forgotten this long after its last request.")
    capacity: int = Field(100_000, ge=1, description="Sessions kept in memory; the least recently used goes first.")


class Decisions(Section):
    """The decision log. Without the section there is none."""

    url: str = Field(
        "sqlite:///thinkgate.db",
        description="Where decisions are kept: in a file, `sqlite:///FILE`, with a fourth slash for an absolute path; "
        "or in PostgreSQL, `postgresql://USER:PASSWORD@HOST/DATABASE`, for several gateways. Empty: no decision log.",
    )
    store_prompts: bool = Field(
        False, description="Keep the start of the last user text, as the judge saw it, beside each decision."
    )
    keep_days: float = Field(30, gt=0, le=36_500, description="Older decisions are deleted.")

    @field_validator("url")
    @classmethod
    def _supported(cls, value: str) -> str:
        if value:
            check_url(value)
        return value


class Settings(Section):
    """The whole configuration."""

    server: Server = Field(default_factory=Server)
    auth: Auth | None = Field(None, description="Without it the gateway is open, warns, and listens on loopback only.")
    tenants: dict[str, Tenant] = Field(
        default_factory=dict, description="Limits of tenants, by name; `*`: of each one that is not named."
    )
    pools: dict[str, Pool] = Field(min_length=1, description="Replicas that serve one model, by name.")
    routes: dict[str, Route] = Field(min_length=1, description="Client-visible aliases; `auto` is customary.")
    judge: JudgeSettings = Field(default_factory=JudgeSettings)
    profiles: dict[str, ProfileSettings] = Field(default_factory=lambda: {"default": ProfileSettings()})
    families: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Families of your own.")
    timeouts: Timeouts = Field(default_factory=Timeouts)
    health: Health = Field(default_factory=Health)
    retries: Retries = Field(default_factory=Retries)
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    state: State = Field(default_factory=State)
    decisions: Decisions = Field(default_factory=lambda: Decisions(url=""))
    console: Console = Field(default_factory=Console)
    access_log: AccessLog = Field(default_factory=AccessLog)
    tracing: Tracing = Field(default_factory=Tracing)

    @model_validator(mode="after")
    def _references(self) -> "Settings":
        profiles = {"default", *self.profiles}
        for alias, route in self.routes.items():
            for key in ("instruct", "thinking", "pool"):
                name = getattr(route, key)
                if name and name not in self.pools:
                    raise ValueError(
                        f"routes.{alias}.{key} names the pool `{name}`, which is not in pools ({_list(self.pools)})"
                    )
            if route.profile not in profiles:
                raise ValueError(
                    f"routes.{alias}.profile names `{route.profile}`, which is not in profiles ({_list(profiles)})"
                )
        models = {pool.model for pool in self.pools.values()}
        for where, client in self.auth.all_rights() if self.auth else ():
            named: tuple[tuple[str, Any, Any], ...] = (
                ("routes", client.routes, self.routes),
                ("models", client.models or (), models),
                ("profile", [client.profile] if client.profile else (), profiles),
            )
            for what, names, known in named:
                for name in names:
                    if name != "*" and name not in known:
                        raise ValueError(f"{where}.{what} names `{name}`; known are {_list(known)}")
        if self.judge.pool and self.judge.pool not in self.pools:
            raise ValueError(f"judge.pool names `{self.judge.pool}`, which is not in pools ({_list(self.pools)})")
        for alias in self.routes:
            for name in (alias, f"{alias}-instruct", f"{alias}-thinking"):
                if name in models:
                    raise ValueError(
                        f"routes.{alias}: `{name}` is also the model name of a pool; clients could not tell"
                    )
        return self


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
