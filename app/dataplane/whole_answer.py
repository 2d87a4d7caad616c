"""An answer that came in one piece: what makes it one, and what is read of it. Knows JSON's first and last byte, and
errors' shapes; edits nothing."""

import msgspec

from app.dataplane.client import Headers
from app.dataplane.usage import Usage
from app.errors import GatewayError, UpstreamError, UpstreamFailed

_ERRORS = (
    b'{"error":',
    b'{"error" :',
    b'{"object":"error"',
    b'{"object": "error"',
    b'{"type":"error"',
    b'{"type": "error"',
)


class WholeAnswer(msgspec.Struct, frozen=True):
    """`body` as the client gets it; `reasoning_tokens` as far as they can be told."""

    body: bytes
    usage: Usage | None = None
    reasoning_tokens: int = 0


def failure_in(status: int, headers: Headers, raw: bytes) -> GatewayError | None:
    """Why it is none: an error, with whatever status; a redirect; a page; half of an object. None where it is one."""
    if status >= 400:
        return UpstreamError.from_answer(status, raw, dict(headers).get(b"retry-after", b""))
    if status != 200:
        return UpstreamFailed(f"The backend answered with status {status}.")
    if raw.startswith(_ERRORS) and _is_error(raw):
        return UpstreamError.from_event(raw)
    if raw[:1] != b"{" or raw[-1:] != b"}":
        text = raw.strip()
        if text[:1] != b"{" or text[-1:] != b"}":
            return UpstreamFailed("The backend's answer is not a JSON object.")
    return None


def _is_error(raw: bytes) -> bool:
    try:
        data = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return True
    return data.get("error") is not None or data.get("object") == "error"
