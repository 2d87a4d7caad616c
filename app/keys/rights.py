"""What the holder of a key or a token may do. Knows the schema; does no I/O."""

from pydantic import Field

from app.limits.settings import Limits
from app.section import Section


class Rights(Section):
    """What a key may do, and whose it is."""

    tenant: str = Field("default", description="Whose key it is; shown in logs, never sent upstream.")
    profile: str = Field("", description="Profile of all its requests, instead of the route's.")
    profiles: list[str] = Field(
        default_factory=list, description="Profiles that the key may choose with `x-thinkgate-profile`; `*`: any."
    )
    routes: list[str] = Field(
        ["*"], description="Routes that the key may name in `model`, with their mode aliases; `*`: any."
    )
    models: list[str] | None = Field(
        None,
        description="Pools' own model names that the key may use, past all routing; `*`: any. Left out: any where "
        "`routes` is `*`, else none.",
    )
    limits: Limits = Field(default_factory=Limits, description="What the key alone may use.")
