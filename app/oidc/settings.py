"""What an operator may say about tokens. Knows the schema; does no I/O."""

from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from app.keys.rights import Rights
from app.section import Seconds, Section

Algorithm = Literal["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"]


class Oidc(Section):
    """Tokens (JWT) of an OpenID Connect issuer, accepted as `Authorization: Bearer` beside keys. Needs the extra
    `oidc`. The signature, `iss`, `aud` and `exp` must be there and right, and `nbf` and `iat` where they are there."""

    issuer: str = Field(description="The issuer's URL, letter for letter as its tokens name it in `iss`.")
    audience: list[str] = Field(min_length=1, description="Names of this service, one of which must be in `aud`.")
    jwks_url: str = Field(
        "", description="Where the issuer's keys are; empty: where its `/.well-known/openid-configuration` says."
    )
    ca: str = Field("", description="PEM file of the authorities to trust for both addresses; empty: the system's.")
    algorithms: list[Algorithm] = Field(
        ["RS256", "ES256"], min_length=1, description="Signatures that are accepted. Only those with public keys exist."
    )
    leeway_s: float = Field(30, ge=0, le=600, description="How far the clocks of issuer and gateway may differ.")
    refresh_s: Seconds = Field(
        300,
        description="How often the keys are fetched again. One that a token names and nobody knows is looked for at "
        "once.",
    )
    tenant_claim: str = Field(
        "",
        description="Claim with the tenant; a token without it is refused. Empty: `rights.tenant`. A claim inside "
        "another is written with a dot, `realm_access.roles`.",
    )
    profile_claim: str = Field("", description="Claim with the `profile`; a token without it has none.")
    profiles_claim: str = Field(
        "", description="Claim with the `profiles`, a list or a text with spaces; a token without it has none."
    )
    routes_claim: str = Field("", description="Claim with the `routes`, as above; a token without it may use none.")
    models_claim: str = Field("", description="Claim with the `models`, as above; a token without it may use none.")
    rights: Rights = Field(
        default_factory=Rights,
        description="What a token may do, as far as no claim is named for it; its `limits` hold for each subject "
        "(`sub`).",
    )

    @field_validator("issuer", "jwks_url")
    @classmethod
    def _url(cls, value: str) -> str:
        if value:
            parts = urlsplit(value)
            if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
                raise ValueError("is not of the form https://host/path")
        return value

    @field_validator("issuer")
    @classmethod
    def _there(cls, value: str) -> str:
        if not value:
            raise ValueError("is empty: whose tokens?")
        return value

    @field_validator("audience")
    @classmethod
    def _named(cls, value: list[str]) -> list[str]:
        if not all(name.strip() for name in value):
            raise ValueError("holds an empty name")
        return value
