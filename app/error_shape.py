"""In whose shape a failure is told where no endpoint answers: key, size, path, method. Knows paths and error shapes."""

from collections.abc import Mapping

from app.dataplane.messages.errors import anthropic_error
from app.errors import GatewayError


def error_body(error: GatewayError, path: str, by_name: Mapping[bytes, bytes]) -> bytes:
    """The error as the API that was called tells it.

    Anthropic's clients call `/v1/messages` and what is below it, and `/v1/models` with a header of theirs.
    """
    if path == "/v1/messages" or path.startswith("/v1/messages/"):
        return anthropic_error(error)
    if b"anthropic-version" in by_name and (path == "/v1/models" or path.startswith("/v1/models/")):
        return anthropic_error(error)
    return error.body()
