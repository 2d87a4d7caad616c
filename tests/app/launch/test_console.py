"""Lines in a file, one live line on a terminal."""

import io

import pytest

from app.launch.console import Console


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_without_a_terminal_a_status_is_a_line_when_it_changes_and_every_ten_seconds() -> None:
    stream, clock = io.StringIO(), Clock()
    console = Console(stream, clock=clock)
    for second in range(25):
        clock.now = float(second)
        console.status("loading" if second >= 5 else "importing", f"{second} s")
    assert stream.getvalue() == "0 s\n5 s\n15 s\n"


def test_on_a_terminal_the_status_is_one_line_that_gives_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    console = Console(stream)
    console.status("a", "one")
    console.status("a", "two")
    console.say("done")
    assert stream.getvalue() == "one\r\x1b[Ktwo\r\x1b[Kdone\n"


def test_a_dumb_terminal_gets_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "dumb")
    stream = Terminal()
    Console(stream).status("a", "one")
    assert stream.getvalue() == "one\n"


def test_a_status_fits_the_width_in_columns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "11")
    stream = Terminal()
    Console(stream).status("a", "思考很慢慢慢慢")
    assert stream.getvalue() == "思考很慢…"


def test_a_reader_that_left_does_no_harm() -> None:
    stream = io.StringIO()
    console = Console(stream)
    stream.close()
    console.say("nobody hears this")
