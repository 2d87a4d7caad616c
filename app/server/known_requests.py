"""Request heads that were read before. Knows bytes of HTTP; knows no connection and no key.

A client on a kept connection sends the same head with every request, but for the length of its body. What the parser
made of those bytes once holds whenever they come again; keys are checked anew each time.
"""

import re

from app.dataplane.request_head import RequestHead

MAX_KNOWN = 512
MAX_HEAD_BYTES = 4096
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,9})\r\n")


class KnownRequests:
    """Heads of requests that took the direct lane, found by their bytes but for the length's digits."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, RequestHead] = {}

    def find(self, data: bytes) -> tuple[bytes, RequestHead | None, int]:
        """For one whole request: what it is known by (empty: `data` is no such thing), its head, where its body is."""
        end = data.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
        if length is None or int(length[1]) != len(data) - end - 4:
            return b"", None, 0
        key = data[: length.start(1)] + data[length.end(1) : end]
        return key, self._heads.get(key), end + 4

    def keep(self, key: bytes, head: RequestHead) -> None:
        """Remember what the parser made of a head."""
        if len(self._heads) >= MAX_KNOWN:
            self._heads.clear()
        self._heads[key] = head
