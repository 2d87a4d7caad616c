"""What the endpoints that read or write the decision log have in common. Knows no endpoint."""

from typing import Any

import msgspec
from fastapi import Response

from app.decisions.log import DecisionLog
from app.errors import BadRequest, LogUnavailable, NotFound

_encode = msgspec.json.Encoder().encode


def the_log(log: DecisionLog | None) -> DecisionLog:
    """The log, where there is one. Raises NotFound, which says how to get one."""
    if log is None:
        raise NotFound("There is no decision log: `decisions.url` is not set in the gateway's configuration.")
    return log


def unavailable() -> LogUnavailable:
    """The store's failure, for a client: why is the operator's business, and the gateway's own log says it."""
    return LogUnavailable("The decision log cannot be used now.", retry_after_s=5)


def only(given: set[str], *known: str) -> None:
    """Raises BadRequest for a parameter that nobody knows, instead of ignoring it."""
    for name in sorted(given - set(known)):
        text = f"`{name[:50]}` is no parameter; there are {', '.join(known[:-1])} and {known[-1]}."
        raise BadRequest(text, param=name[:50])


def json_answer(value: Any) -> Response:
    """A value as JSON."""
    return Response(_encode(value), media_type="application/json")


def answers(example: Any) -> dict[int | str, dict[str, Any]]:
    """The entries of the OpenAPI page that all these endpoints have."""
    return {
        200: {"description": "Found.", "content": {"application/json": {"example": example}}},
        400: {"description": "A parameter or a field cannot be used; the message names it."},
        503: {"description": "The log cannot be used now; see Retry-After."},
    }
