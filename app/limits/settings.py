"""What an operator may say about use. Knows the schema; counts nothing."""

from pydantic import Field

from app.section import Section


class Limits(Section):
    """How much may be used; what is left out is not limited. Over a limit a request gets 429 and `Retry-After`."""

    requests_per_minute: int | None = Field(None, ge=1, description="Requests of any outcome.")
    concurrent: int | None = Field(None, ge=1, description="Requests at once, streams above all.")
    tokens_per_minute: int | None = Field(None, ge=1, description="Tokens of prompts and answers, thinking included.")
    tokens_per_hour: int | None = Field(None, ge=1, description="The same, by the hour.")
    thinking_tokens_per_hour: int | None = Field(
        None,
        ge=1,
        description="Tokens of thinking. Once they are used up, what the judge would let think is answered in instruct "
        "mode with the reason `budget`; who asks for thinking himself gets 429.",
    )


class Tenant(Section):
    """A tenant: all keys that name it share its limits."""

    limits: Limits = Field(default_factory=Limits)
