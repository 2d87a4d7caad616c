"""Which headers cross the gateway, in both directions. Knows names; decides nothing else."""

from collections.abc import Iterable

Headers = list[tuple[bytes, bytes]]

HOP_BY_HOP = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)
# Written anew for the backend, or none of its business: the client's keys and cookies above all.
_NOT_UPSTREAM = HOP_BY_HOP | {
    b"host",
    b"content-length",
    b"content-type",
    b"accept-encoding",
    b"expect",
    b"authorization",
    b"x-api-key",
    b"cookie",
    b"x-request-id",
    b"x-thinkgate-mode",
    b"x-thinkgate-profile",
}
_NOT_CLIENT = HOP_BY_HOP | {b"content-length", b"date", b"server", b"set-cookie", b"x-request-id"}


def for_upstream(headers: Headers, request_id: bytes) -> bytes:
    """The client's headers as the backend gets them, ready to be written after the request's own."""
    named: frozenset[bytes] = frozenset()
    for name, value in headers:
        if name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            named = frozenset(token.strip() for token in value.lower().split(b","))
    lines = [b"x-request-id: %b\r\n" % request_id]
    lines += [b"%b: %b\r\n" % h for h in headers if h[0] not in _NOT_UPSTREAM and h[0] not in named]
    return b"".join(lines)


def for_client(headers: Iterable[tuple[bytes, bytes]], request_id: bytes) -> Headers:
    """The backend's headers as the client gets them."""
    out = [h for h in headers if h[0] not in _NOT_CLIENT]
    out.append((b"x-request-id", request_id))
    return out
