"""What a routed request's headers say about mode and conversation. Knows names of headers; decides nothing."""

from collections.abc import Callable, Hashable, Mapping
from typing import Literal

from app.dataplane.routed_request import RoutedRequest
from app.errors import BadRequest
from router.mode import Mode

SESSION_HEADERS = (b"x-session-id", b"x-session-affinity", b"session-id")


def header_mode(headers: Mapping[bytes, bytes]) -> Mode | Literal["auto"] | None:
    """The value of `x-thinkgate-mode`; None where it is absent. Raises BadRequest."""
    value = headers.get(b"x-thinkgate-mode")
    if value is None:
        return None
    word = value.decode("latin-1").strip().lower()
    if word == "auto":
        return "auto"
    try:
        return Mode(word)
    except ValueError:
        raise BadRequest(f"x-thinkgate-mode must be instruct, thinking or auto, not `{word[:50]}`.") from None


def session_key(
    request: RoutedRequest,
    headers: Mapping[bytes, bytes],
    tenant: str,
    opening_hash: Callable[[tuple[int, str]], int] = hash,
) -> Hashable:
    """The tenant's name for the conversation: the client's own, or the texts that it opened with.

    Gateways that share sessions need an `opening_hash` that is the same in all of them.
    """
    for name in SESSION_HEADERS:
        value = headers.get(name)
        if value:
            return tenant, value[:256].decode("latin-1")
    if request.session:
        return tenant, request.session[:256]
    # Hashes, not texts: 100,000 sessions must not keep 100,000 prompts. Python's own hold for this process alone.
    opening = 0
    for message in request.messages:
        content = message.get("content")
        opening = opening_hash((opening, content if type(content) is str else str(content)[:4096]))
        if message.get("role") == "user":
            break
    return tenant, opening
