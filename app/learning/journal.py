"""Results as JSON lines that survive a killed process: whole lines count, a torn last one does not. Knows no result."""

import errno
import fcntl
import json
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from app.learning.files import FileTrouble, words

_HEAD: Final = "thinkgate_label"


class Journal:
    """Appends results to a file; what an earlier run wrote is `done`, by its id.

    The first line holds the settings: a run with others is refused, since its results would not be comparable.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.done: set[str] = set()
        self._settings = dict(settings)
        self._file = -1
        self._end = 0

    def __enter__(self) -> Self:
        """Open, lock, drop a torn last line, read what is done. Raises FileTrouble."""
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise FileTrouble(f"{self.path}: {words(error)}") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
            if not self._end:
                self._append({_HEAD: 1, "settings": self._settings})
        except BlockingIOError:
            self._close()
            raise FileTrouble(f"{self.path}: another run is writing to it") from None
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._close()

    def append(self, row: Mapping[str, Any]) -> None:
        """Keep a result, on disk when this returns. Raises FileTrouble; then the file is as before."""
        self._append(row)
        self.done.add(str(row["id"]))

    def _append(self, row: Mapping[str, Any]) -> None:
        try:
            line = json.dumps(row, ensure_ascii=False).encode() + b"\n"
        except UnicodeEncodeError:  # half a character, as JSON can hold one; the file stays UTF-8
            line = json.dumps(row).encode() + b"\n"
        try:
            written = 0
            while written < len(line):
                written += os.pwrite(self._file, line[written:], self._end + written)
            os.fsync(self._file)
        except OSError as error:
            try:
                os.ftruncate(self._file, self._end)
            except OSError:
                pass  # the next run drops the torn line
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "; make room and run the same command again, it goes on from here" if full else ""
            raise FileTrouble(f"{self.path}: {words(error)}{advice}") from error
        self._end += len(line)

    def _read(self) -> None:
        with os.fdopen(os.dup(self._file), "rb") as file:
            file.seek(0)
            for number, line in enumerate(file, 1):
                if not line.endswith(b"\n"):  # torn: the process was killed as it wrote
                    break
                row = self._parsed(line, number)
                if number == 1:
                    self._compare(row)
                else:
                    self.done.add(str(row["id"]))
                self._end += len(line)
        os.ftruncate(self._file, self._end)

    def _parsed(self, line: bytes, number: int) -> dict[str, Any]:
        try:
            row = json.loads(line)
            if isinstance(row, dict) and (number == 1 or "id" in row):
                return row
        except ValueError:
            pass
        raise FileTrouble(f"{self.path}:{number}: not a line that `label` wrote; name another --out")

    def _compare(self, row: Mapping[str, Any]) -> None:
        if _HEAD not in row:
            raise FileTrouble(f"{self.path}: holds something else; name another --out")
        settings = row.get("settings")
        if not isinstance(settings, dict) or settings == self._settings:
            return
        other = sorted(name for name in {*settings, *self._settings} if settings.get(name) != self._settings.get(name))
        was = ", ".join(f"{name} {settings.get(name)}" for name in other)
        raise FileTrouble(f"{self.path}: was begun with other settings ({was}); use them again or name another --out")

    def _close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
