"""What an operator may say about sharing. Knows the schema; does no I/O."""

from pydantic import Field, SecretStr, field_validator

from app.section import Section


class State(Section):
    """What several gateways share: the memory of sessions, what keys and tenants have used, and the controllers of
    policies. Without the section each gateway keeps its own."""

    url: SecretStr = Field(
        SecretStr(""),
        description="A Redis server, 6.2 or newer: `redis://HOST:6379/0`, `rediss://…` for TLS, with `:PASSWORD@` "
        "where it wants one. Empty: nothing is shared.",
    )
    prefix: str = Field(
        "thinkgate",
        pattern=r"^[A-Za-z0-9._-]{1,64}$",
        description="Begins the names of all keys: gateways with the same one share.",
    )
    interval_ms: float = Field(
        50, ge=5, le=5000, description="How often a gateway tells what it has used, and hears of the others."
    )
    timeout_ms: float = Field(
        500, ge=10, le=10_000, description="Longest wait for the server's answer. No request waits for it."
    )

    @field_validator("url")
    @classmethod
    def _supported(cls, value: SecretStr) -> SecretStr:
        url = value.get_secret_value()
        if url and not (url.startswith(("redis://", "rediss://", "unix://")) and url.isprintable()):
            raise ValueError("must be redis://HOST:PORT/DATABASE, rediss://… or unix://PATH")
        return value
