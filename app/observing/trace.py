"""One request's place in a trace, and W3C's header that says it. Knows ids and times; knows no exporter.

https://www.w3.org/TR/trace-context/ : version 00; a later version is read as far as 00 goes.
"""

import re
from random import getrandbits
from time import monotonic

from app.dataplane.request_head import RequestHead
from app.pools.replica import Replica

_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_NO_TRACE, _NO_SPAN = b"0" * 32, b"0" * 16  # are invalid
_GONE = re.compile(rb"(?m)^trace(?:parent|state):[^\n]*\n")
_PARENT_GONE = re.compile(rb"(?m)^traceparent:[^\n]*\n")
_SPACE = 1 << 56  # of the part of a trace's id by which sampling is decided, alike in every process


class Attempt:
    """One request to one replica."""

    __slots__ = ("pool", "replica", "sent_s", "span_id")

    def __init__(self, pool: str, replica: int) -> None:
        self.pool = pool
        self.replica = replica
        self.sent_s = monotonic()
        self.span_id = new_span_id()


class Trace:
    """`parent` is the client's span, or empty where the trace begins here. Ids are in hexadecimal digits."""

    __slots__ = ("attempts", "parent", "sampled", "span_id", "trace_id")

    def __init__(self, head: RequestHead, sample: float) -> None:
        found = _TRACEPARENT.fullmatch(head.by_name.get(b"traceparent", b"").strip())
        if found and found[0][:2] == b"00" and found[4] is not None:
            found = None
        if found and found[1] != _NO_TRACE and found[2] != _NO_SPAN:
            self.trace_id, self.parent = found[1].decode(), found[2].decode()
            self.sampled = bool(int(found[3], 16) & 1)
        else:
            self.trace_id, self.parent = f"{getrandbits(128) or 1:032x}", ""
            self.sampled = int(self.trace_id[-14:], 16) < sample * _SPACE
        self.span_id = new_span_id()
        self.attempts: list[Attempt] = []

    def forwarded(self, head: RequestHead, pool: str, replica: Replica) -> bytes:
        """The header lines for a replica: the client's, with this attempt as the parent of what the backend does."""
        attempt = Attempt(pool, replica.place)
        self.attempts.append(attempt)
        lines = head.forwarded()
        if b"traceparent" in head.by_name or (not self.parent and b"tracestate" in head.by_name):
            # A `tracestate` belongs to its `traceparent`: without a good one it is dropped, as W3C asks.
            lines = (_PARENT_GONE if self.parent else _GONE).sub(b"", lines)
        own = f"traceparent: 00-{self.trace_id}-{attempt.span_id}-{int(self.sampled):02x}\r\n"
        return lines + own.encode()


def new_span_id() -> str:
    """A span's id: 16 hexadecimal digits, not all zero."""
    return f"{getrandbits(64) or 1:016x}"
