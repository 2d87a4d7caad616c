"""What an operator may say about pools, and how long to wait for their replicas. Knows the schema; does no I/O."""

from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from app.section import Seconds, Section


class Tls(Section):
    """TLS towards a pool's `https` replicas. Certificates are always verified."""

    ca: str = Field("", description="PEM file of the authorities to trust; empty: the system's.")
    certificate: str = Field("", description="PEM file of the gateway's own certificate, where replicas ask for one.")
    key: str = Field("", description="PEM file of that certificate's key; empty: it is in `certificate`.")
    server_name: str = Field("", description="Name that the certificate must be for; empty: the address's.")


class Pool(Section):
    """Replicas that serve one model."""

    model: str = Field(description="The name that the backend serves the model under (`--served-model-name`).")
    replicas: list[str] = Field(min_length=1, description="Base URLs of the replicas, without `/v1`.")
    api_key: SecretStr | None = Field(None, description="Key sent to the replicas; the client's own never is.")
    tls: Tls = Field(default_factory=Tls)
    health_path: str = Field(
        "/health",
        pattern=r"^/[\x21-\x7e]*$",
        description="What a health check asks for: 200 is up. vLLM's own; routers in front of vLLM may have another "
        "(Ray Serve: `/-/healthz`).",
    )
    resolve_s: float = Field(
        0,
        ge=0,
        le=86_400,
        description="Look the names in `replicas` up this often and take each address found as a replica of its own, "
        "as a Kubernetes headless service needs; 0: never, a name is one replica.",
    )
    max_in_flight: int | None = Field(
        None, ge=1, description="Requests that may be at the replicas at once; more wait in the pool's queue."
    )
    max_connections: int | None = Field(
        None, ge=1, description="Requests that may be at one replica at once; where all have as many, more wait."
    )
    queue_size: int = Field(1000, ge=0, description="Requests that may wait for a place; more get 503.")
    queue_timeout_s: Seconds = Field(30, description="Longest wait for a place; then 503.")

    @field_validator("replicas")
    @classmethod
    def _urls(cls, value: list[str]) -> list[str]:
        for url in value:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
                raise ValueError(f"`{url}` is not of the form http://host:port")
            if parts.path.strip("/") or parts.query:
                raise ValueError(f"`{url}` must end after the port: the gateway adds /v1/… itself")
            try:
                _ = parts.port
            except ValueError as error:
                raise ValueError(f"`{url}` is not of the form http://host:port: {error}") from error
        return [url.rstrip("/") for url in value]

    @field_validator("api_key")
    @classmethod
    def _empty_is_none(cls, value: SecretStr | None) -> SecretStr | None:
        return value if value is not None and value.get_secret_value() else None

    @model_validator(mode="after")
    def _tls_is_used(self) -> "Pool":
        if self.tls != Tls() and not any(url.startswith("https:") for url in self.replicas):
            raise ValueError("`tls` is set, but no replica's address begins with https://")
        return self


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
    """Health of the replicas: what is asked of them, and what is learned from requests."""

    interval_s: Seconds = Field(5, description="Time between two checks of a replica; one that is down: 1 s at most.")
    timeout_s: Seconds = Field(3, description="A check that takes longer has failed.")
    down_after: int = Field(
        3,
        ge=1,
        description="Checks that fail in a row, a second apart, before a replica is down. Requests that wait there for "
        "their answer to begin are then sent to another one.",
    )
    load_interval_s: float = Field(
        2,
        ge=0,
        le=3600,
        description="Time between two looks at a replica's queue (vLLM's `/metrics`); 0: the queue is not looked at.",
    )
    eject_after: int = Field(
        5, ge=0, description="Requests that fail in a row before a replica is left alone for a while; 0: never."
    )
    eject_s: Seconds = Field(
        5, description="How long it is left alone the first time, until one request tries it; doubles each time."
    )
    eject_max_s: Seconds = Field(60, description="Longest time that it is left alone.")


class Retries(Section):
    """How many requests may be sent again to another replica, so that a failing pool is not buried under retries.

    A request that could not connect has cost the backend nothing and is not counted.
    """

    share: float = Field(0.2, ge=0, le=1, description="Share of the last ten seconds' requests, a pool.")
    at_least: int = Field(20, ge=0, description="Retries in ten seconds that are allowed whatever the share, a pool.")
