"""The head of a backend's answer, and those that were seen before. Knows bytes of HTTP; knows no connection."""

import re

MAX_KNOWN = 64
_LENGTH = re.compile(rb"\r\ncontent-length: (\d{1,9})\r\n")


class AnswerHead:
    """`lines` is what the data plane made of the headers for its clients, kept with them; None until then.

    One object may serve many answers: nothing here may be changed.
    """

    __slots__ = ("headers", "lines", "status")

    def __init__(self, status: int, headers: list[tuple[bytes, bytes]]) -> None:
        self.status = status
        self.headers = headers
        self.lines: bytes | None = None


class KnownHeads:
    """Heads that the parser has read, found again by their bytes but for the length's digits.

    A server's answers differ in nothing else while its clock shows the same second. Only answers that came in one read,
    with their length, on a connection that stays open are kept here.
    """

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, AnswerHead] = {}

    def find(self, data: bytes) -> tuple[bytes, AnswerHead | None, int]:
        """For a whole answer: what it is known by (empty: `data` is no such thing), its head, and where its body is."""
        end = data.find(b"\r\n\r\n")
        length = _LENGTH.search(data, 0, end + 2) if end > 0 else None
        if length is None or int(length[1]) != len(data) - end - 4:
            return b"", None, 0
        key = data[: length.start(1)] + data[length.end(1) : end]
        return key, self._heads.get(key), end + 4

    def keep(self, key: bytes, head: AnswerHead) -> None:
        """Remember what the parser made of a head."""
        if len(self._heads) >= MAX_KNOWN:
            self._heads.clear()
        self._heads[key] = head
