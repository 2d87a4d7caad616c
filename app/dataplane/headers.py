"""Which headers cross the gateway, in both directions. Knows names; decides nothing else.

Headers that are about to be written are kept as lines (`name: value\\r\\n…`): that is what the socket takes.
"""

from collections.abc import Iterable

from app.dataplane.client import Headers

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


def for_upstream(headers: Headers) -> bytes:
    """The client's headers as lines for the backend, to follow the request's own."""
    named: frozenset[bytes] = frozenset()
    lines = []
    for name, value in headers:
        if name not in _NOT_UPSTREAM:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif name == b"connection" and value.lower() not in (b"keep-alive", b"close"):
            named = frozenset(token.strip() for token in value.lower().split(b","))
    if named:  # headers that the client called hop-by-hop
        lines = [line for line in lines if line.partition(b":")[0] not in named]
    return b"".join(lines)


def for_client(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The backend's headers as lines for the client."""
    return b"".join([b"%b: %b\r\n" % h for h in headers if h[0] not in _NOT_CLIENT])


def lines_of(headers: Headers) -> bytes:
    """Headers as lines."""
    return b"".join([b"%b: %b\r\n" % h for h in headers])


def headers_of(lines: bytes) -> Headers:
    """The headers that lines say."""
    out = []
    for line in lines.split(b"\r\n"):
        if line:
            name, _, value = line.partition(b": ")
            out.append((name, value))
    return out
