"""What the user sees while things start: plain lines, and one live line where there is a terminal. Knows no process."""

import os
import shutil
import time
import unicodedata
from collections.abc import Callable
from typing import TextIO

_LINE_EVERY_S = 10.0


class Console:
    """Lines for good, and a status: rewritten in place on a terminal, else a line when it changes and every 10 s."""

    def __init__(self, stream: TextIO, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._stream = stream
        self._clock = clock
        self._live = stream.isatty() and os.environ.get("TERM", "") != "dumb"
        self._shown = False
        self._last_key = ""
        self._last_at = 0.0

    def say(self, text: str = "") -> None:
        """One or more lines that stay."""
        self._write(f"{self._cleared()}{text}\n")

    def event(self, text: str) -> None:
        """A line that stays, with the time of day, for what happens after the start."""
        self.say(f"{time.strftime('%H:%M:%S')} {text}")

    def status(self, key: str, text: str) -> None:
        """The state of things now; `key` is the part whose change deserves a line of its own."""
        if self._live:
            self._write(f"{self._cleared()}{_clip(text, shutil.get_terminal_size().columns - 1)}")
            self._shown = True
        elif key != self._last_key or self._clock() - self._last_at >= _LINE_EVERY_S:
            self._last_key, self._last_at = key, self._clock()
            self._write(f"{_clip(text, 160)}\n")

    def _cleared(self) -> str:
        shown, self._shown = self._shown, False
        return "\r\x1b[K" if shown else ""

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal or the reader is gone; the engines need not know
            pass


def _clip(text: str, width: int) -> str:
    """At most `width` columns; Chinese characters take two."""
    taken = 0
    for position, character in enumerate(text):
        taken += 2 if unicodedata.east_asian_width(character) in "WF" else 1
        if taken > width:
            return text[: max(0, position - 1)] + "…"
    return text


def short_path(path: "os.PathLike[str] | str") -> str:
    """Relative to the working directory where the path lies under it."""
    text = os.fspath(path)
    relative = os.path.relpath(text)
    return text if relative.startswith("..") else relative
