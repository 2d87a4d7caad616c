"""Lines of a file: whole, cut where they are too long, and no more than were asked for."""

import io

import pytest

from app.cli import lines
from app.cli.lines import lines_of


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(lines, "MAX_LINE_BYTES", 10)


def test_lines_come_as_they_are_and_a_long_one_as_its_beginning():
    source = io.BytesIO(b"one\n" + b"x" * 35 + b"\ntwo")
    assert list(lines_of(source)) == [b"one\n", b"x" * 11, b"two"]


def test_no_more_than_asked_for():
    source = io.BytesIO(b"one\n" + b"x" * 35 + b"\ntwo\n")
    assert list(lines_of(source, 4)) == [b"one\n"]
    assert list(lines_of(source, 36)) == [b"x" * 11]
    assert list(lines_of(source, 100)) == [b"two\n"]


def test_a_long_line_without_an_end_is_cut_too():
    assert list(lines_of(io.BytesIO(b"y" * 25))) == [b"y" * 11]
