"""The lines of a file that may be hostile: one longer than any row may be is cut, not kept. Knows no row."""

from collections.abc import Iterator
from typing import BinaryIO

from router.judges.batch import MAX_LINE_BYTES


def lines_of(source: BinaryIO, most: int | None = None) -> Iterator[bytes]:
    """The lines from where `source` stands, `most` bytes of them; of a line that is too long its beginning."""
    left = most
    while left is None or left > 0:
        line = source.readline(MAX_LINE_BYTES + 1)
        if not line:
            return
        yield line
        size = len(line)
        while len(line) > MAX_LINE_BYTES and not line.endswith(b"\n"):
            line = source.readline(MAX_LINE_BYTES + 1)
            if not line:
                return
            size += len(line)
        if left is not None:
            left -= size
