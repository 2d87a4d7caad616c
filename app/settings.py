"""The configuration's schema: what an operator may write, with defaults, units and help. Knows no file and no I/O."""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from router.mode import Mode
from router.profile import Metadata, Profile, ReasoningFields

Seconds = Annotated[float, Field(gt=0, le=86_400)]


class Section(BaseModel):
    """Frozen, and strict about names: a typo is an error, not a silent default."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Server(Section):
    """The listening side."""

    host: str = Field("127.0.0.1", description="Address to listen on. Without `auth`, loopback only.")
    port: int = Field(8080, ge=0, le=65535, description="Port to listen on; 0 takes a free one.")
    listeners: int = Field(
        8, ge=1, le=64, description="SO_REUSEPORT listeners: new connections are accepted in turns, one a listener."
    )
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024, description="Larger request bodies get 413.")
    body_timeout_s: Seconds = Field(30, description="Longest wait for the next part of a request body; then 408.")
    drain_timeout_s: Seconds = Field(30, description="How long open streams may finish after SIGTERM.")


class Key(Section):
    """A client's key."""

    key: SecretStr = Field(description="The key itself; write `${NAME}` to take it from the environment.")
    tenant: str = Field("default", description="Whose key it is; shown in logs, never sent upstream.")

    profiles: list[str] = Field(
        default_factory=list, description="Profiles that the key may choose with `x-thinkgate-profile`; `*`: any."
    )

    @field_validator("key")
    @classmethod
    def _not_empty(cls, value: SecretStr) -> SecretStr:
        if not value.get_secret_value().strip():
            raise ValueError("is empty: set the environment variable that it names, or write a key")
        return value


class Auth(Section):
    """Who may use the gateway. Health checks stay open."""

    keys: list[Key] = Field(min_length=1, description="Accepted keys, as `Authorization: Bearer` or `x-api-key`.")
    open_paths: list[str] = Field(
        ["/health", "/health/live", "/health/ready", "/metrics"], description="Exact paths that need no key."
    )


class Pool(Section):
    """Replicas that serve one model."""

    model: str = Field(description="The name that the backend serves the model under (`--served-model-name`).")
    replicas: list[str] = Field(min_length=1, description="Base URLs of the replicas, without `/v1`.")
    api_key: SecretStr | None = Field(None, description="Key sent to the replicas; the client's own never is.")

    @field_validator("replicas")
    @classmethod
    def _urls(cls, value: list[str]) -> list[str]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme != "http" or not parts.hostname:
                raise ValueError(f"`{url}` is not of the form http://host:port")
            if parts.path.strip("/") or parts.query:
                raise ValueError(f"`{url}` must end after the port: the gateway adds /v1/… itself")
        return [url.rstrip("/") for url in value]

    @field_validator("api_key")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None


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


class ProfileSettings(Section):
    """A policy for a scenario."""

    threshold: float = Field(0.5, ge=0, le=1.01, description="Thinking where score >= threshold; above 1: never.")
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
        )


class Timeouts(Section):
    """How long the gateway waits for a backend, in seconds."""

    connect_s: Seconds = Field(5, description="To open a connection.")
    first_byte_s: Seconds = Field(
        600, description="From the request to the first byte of the answer, queueing included."
    )
    idle_s: Seconds = Field(120, description="Between two events of a stream.")
    total_s: Seconds | None = Field(
        None, description="For the whole answer; none by default, since thinking takes long."
    )


class Health(Section):
    """Health checks of the replicas."""

    interval_s: Seconds = Field(5, description="Time between two checks of a replica.")
    timeout_s: Seconds = Field(3, description="A check that takes longer has failed.")


class SessionSettings(Section):
    """How conversations are recognised."""

    ttl_s: Seconds = Field(3600, description="A session is forgotten this long after its last request.")
    capacity: int = Field(100_000, ge=1, description="Sessions kept in memory; the least recently used goes first.")


class Decisions(Section):
    """The decision log."""

    url: str = Field("sqlite:///thinkgate.db", description="Where decisions are kept; empty: nowhere.")
    store_prompts: bool = Field(False, description="Keep the last user text beside each decision.")
    keep_days: float = Field(30, gt=0, description="Older decisions are deleted.")


class Settings(Section):
    """The whole configuration."""

    server: Server = Field(default_factory=Server)
    auth: Auth | None = Field(None, description="Without it the gateway is open, warns, and listens on loopback only.")
    pools: dict[str, Pool] = Field(min_length=1, description="Replicas that serve one model, by name.")
    routes: dict[str, Route] = Field(min_length=1, description="Client-visible aliases; `auto` is customary.")
    judge: JudgeSettings = Field(default_factory=JudgeSettings)
    profiles: dict[str, ProfileSettings] = Field(default_factory=lambda: {"default": ProfileSettings()})
    families: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Families of your own.")
    timeouts: Timeouts = Field(default_factory=Timeouts)
    health: Health = Field(default_factory=Health)
    sessions: SessionSettings = Field(default_factory=SessionSettings)
    decisions: Decisions = Field(default_factory=lambda: Decisions(url=""))

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
        if self.judge.pool and self.judge.pool not in self.pools:
            raise ValueError(f"judge.pool names `{self.judge.pool}`, which is not in pools ({_list(self.pools)})")
        models = {pool.model for pool in self.pools.values()}
        for alias in self.routes:
            for name in (alias, f"{alias}-instruct", f"{alias}-thinking"):
                if name in models:
                    raise ValueError(
                        f"routes.{alias}: `{name}` is also the model name of a pool; clients could not tell"
                    )
        return self


def _list(names: Any) -> str:
    return ", ".join(sorted(names))
