"""What an operator may say about keys. Knows the schema; does no I/O."""

from pydantic import Field, SecretStr, field_validator, model_validator

from app.keys.digest import PREFIX, digest_of, is_digest
from app.keys.rights import Rights as Rights
from app.oidc.settings import Oidc
from app.section import Section


class Key(Rights):
    """A client's key."""

    key: SecretStr = Field(
        description="The key itself, from the environment as `${NAME}`, or its digest: `sha256:` and 64 hexadecimal "
        "digits (`printf %s KEY | sha256sum`)."
    )

    @field_validator("key")
    @classmethod
    def _usable(cls, value: SecretStr) -> SecretStr:
        text = value.get_secret_value()
        if not text.strip():
            raise ValueError("is empty: set the environment variable that it names, or write a key")
        if text.startswith(PREFIX) and not is_digest(text):
            raise ValueError("begins with `sha256:` but has no 64 lower-case hexadecimal digits after it")
        return value

    @property
    def digest(self) -> str:
        """The key's digest."""
        text = self.key.get_secret_value()
        return text if is_digest(text) else digest_of(text.encode())


class Auth(Section):
    """Who may use the gateway. Health checks stay open."""

    keys: list[Key] = Field(
        default_factory=list, description="Accepted keys, as `Authorization: Bearer` or `x-api-key`."
    )
    keys_file: str = Field(
        "",
        description="File with more keys, kept by `thinkgate keys`; changes count within a second, without a reload.",
    )
    oidc: Oidc | None = Field(None, description="Accept an issuer's tokens too (docs/tenants.md).")
    open_paths: list[str] = Field(
        ["/health", "/health/live", "/health/ready", "/metrics"], description="Exact paths that need no key."
    )

    @model_validator(mode="after")
    def _some_keys(self) -> "Auth":
        if not self.keys and not self.keys_file and self.oidc is None:
            raise ValueError("needs `keys`, a `keys_file`, or `oidc`")
        return self

    def all_rights(self) -> list[tuple[str, Rights]]:
        """All that the configuration lets somebody do, each with the place where it stands."""
        tokens = [] if self.oidc is None else [("auth.oidc.rights", self.oidc.rights)]
        return [(f"auth.keys[{i}]", key) for i, key in enumerate(self.keys)] + tokens
