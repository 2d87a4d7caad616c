"""A request's head, as the endpoints see it. Knows headers; decides nothing."""

from collections.abc import Mapping

from app.dataplane.client import Headers
from app.dataplane.headers import for_upstream


class RequestHead:
    """`path` is decoded; `by_name` holds the last header of each name, in lower case.

    Clients send the same head again and again, so one object may serve many requests: nothing here may be changed.
    """

    __slots__ = ("_forwarded", "by_name", "headers", "path")

    def __init__(self, path: str, headers: Headers) -> None:
        self.path = path
        self.headers = headers
        self.by_name: Mapping[bytes, bytes] = dict(headers)
        self._forwarded: bytes | None = None

    def forwarded(self) -> bytes:
        """The header lines that go on to a backend; the request's id is not among them."""
        lines = self._forwarded
        if lines is None:
            lines = self._forwarded = for_upstream(self.headers)
        return lines
