"""Blank lines in front of an answer go; a chunk that says anything else stays."""

import pytest

from app.dataplane.leading_blanks import trimmed_chunk

CHUNK = b'data: {"choices":[{"index":0,"delta":{"content":"%b"},"logprobs":%b,"finish_reason":%b,"token_ids":%b}]}\n\n'


def test_a_chunk_of_blank_lines_alone_is_left_out() -> None:
    assert trimmed_chunk(CHUNK % (rb"\n\n", b"null", b"null", b"null")) == b""
    assert trimmed_chunk(CHUNK % (rb"\n\n  4", b"null", b"null", b"null")) == CHUNK % (
        b"  4",
        b"null",
        b"null",
        b"null",
    )


@pytest.mark.parametrize(
    ("logprobs", "reason", "token_ids"),
    [(b'{"content":[]}', b"null", b"null"), (b"null", b'"stop"', b"null"), (b"null", b"null", b"[198]")],
)
def test_a_chunk_that_says_more_stays_without_them(logprobs: bytes, reason: bytes, token_ids: bytes) -> None:
    rest = (logprobs, reason, token_ids)
    assert trimmed_chunk(CHUNK % (rb"\n\n", *rest)) == CHUNK % (b"", *rest)
