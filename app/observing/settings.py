"""What an operator may say about access log and traces. Knows the schema; does no I/O."""

from pydantic import Field, SecretStr, field_validator

from app.section import Section


class AccessLog(Section):
    """One JSON line for each request of the data plane. No prompt, answer, key or header value of a client is in it."""

    path: str = Field(
        "",
        description="File that lines are appended to; `-`: standard output. Empty: no access log. A file that is "
        "renamed or removed is made anew.",
    )


class Tracing(Section):
    """OpenTelemetry traces by OTLP over HTTP (extra: otel). They hold no prompt, answer, key or header value either."""

    endpoint: str = Field(
        "", description="Where spans go, as `http://collector:4318/v1/traces`. Empty: no traces; W3C headers pass by."
    )
    headers: dict[str, SecretStr] = Field(
        default_factory=dict, description="Headers of these requests, as a collector's key from `${NAME}`."
    )
    sample: float = Field(
        1.0, ge=0, le=1, description="Share of traces kept that begin here; a client's `traceparent` decides its own."
    )
    service_name: str = Field("thinkgate", min_length=1, description="`service.name` of the spans.")

    @field_validator("endpoint")
    @classmethod
    def _address(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("must begin with http:// or https://")
        return value
