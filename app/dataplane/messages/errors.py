"""A failure in the shape of the Anthropic API. Knows its error types; knows no route."""

import msgspec

from app.errors import GatewayError

_encode = msgspec.json.Encoder().encode
_TYPES = {
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    408: "timeout_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def anthropic_error(error: GatewayError) -> bytes:
    """`{"type": "error", "error": {"type", "message"}}`: the type is told by the status."""
    default = "invalid_request_error" if error.status < 500 else "api_error"
    return _encode({"type": "error", "error": {"type": _TYPES.get(error.status, default), "message": error.message}})
