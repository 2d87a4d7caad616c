"""Scoring JSON lines."""

from collections.abc import Iterator

from router.judges import load_judge
from router.judges.batch import BadRow, ScoredRow, score_rows
from router.mode import Mode

JUDGE = load_judge("constant", score=0.7)


def test_rows_come_back_in_order_with_their_ids() -> None:
    lines = [b'{"id": "a", "prompt": "hi"}\n', b"\n", b'{"id": 7, "messages": [{"role": "user", "content": "x"}]}\n']
    rows = list(score_rows(JUDGE, lines))
    assert [row.id for row in rows if isinstance(row, ScoredRow)] == ["a", 7]
    assert [row.line for row in rows] == [1, 3]
    assert all(isinstance(row, ScoredRow) and row.mode is Mode.THINKING for row in rows)


def test_the_threshold_sets_the_mode() -> None:
    (row,) = score_rows(JUDGE, [b'{"prompt": "hi"}'], threshold=0.8)
    assert isinstance(row, ScoredRow)
    assert row.to_json() == '{"id": null, "score": 0.7, "mode": "instruct"}'


def test_bad_rows_are_named_by_line_and_not_quoted() -> None:
    lines = [
        b"{secret",
        b"[]",
        b'{"id": 1}',
        b'{"prompt": 5}',
        b'{"messages": []}',
        b'{"messages": ["x"]}',
        b"\xff\xfe",
    ]
    rows = list(score_rows(JUDGE, [*lines, b"[" * 100_000]))
    assert [row.line for row in rows if isinstance(row, BadRow)] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert not any("secret" in row.problem for row in rows if isinstance(row, BadRow))


def test_rows_are_read_one_at_a_time() -> None:
    def endless() -> Iterator[bytes]:
        while True:
            yield b'{"prompt": "hi"}'

    rows = score_rows(JUDGE, endless())
    assert [next(rows).line for _ in range(3)] == [1, 2, 3]
