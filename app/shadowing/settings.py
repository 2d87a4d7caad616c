"""The configuration of a profile's shadows. Knows bounds; asks nobody."""

from pydantic import Field

from app.section import Seconds, Section


class ShadowSettings(Section):
    """A share of the judged chat completions is answered by the other mode too, after the client has its answer, while
    there is room. Nobody gets that answer: its tokens and seconds are kept beside the decision."""

    share: float = Field(gt=0, le=1, description="Share of the judged requests that are shadowed.")
    thinking_tokens_per_hour: int = Field(
        100_000, ge=1, description="No shadow of thinking begins once those of the last hour have used so many tokens."
    )
    max_in_flight: int = Field(1, ge=1, le=64, description="Shadows at the same time, of one gateway process.")
    max_pressure: float = Field(
        0.5,
        gt=0,
        le=1,
        description="None begins, and those that run are broken off, while the pool's pressure is above it "
        "(docs/policies.md) or requests wait there.",
    )
    max_beside: int = Field(
        4, ge=0, description="None begins while more requests than this are in flight at the pool, for each replica."
    )
    timeout_s: Seconds = Field(300, description="A shadow that takes longer is broken off.")
