"""Finished requests as JSON lines in a file or on standard output. Knows files; knows no request."""

import os
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

from app.observing.finished import Finished, Over, finished
from app.observing.outbox import Undelivered

_encode = msgspec.json.Encoder().encode


class AccessLogFile:
    """Appends to the file at `path`, or to standard output where that is `-`. For one thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = 1 if path == "-" else -1

    def write(self, requests: list[Over]) -> None:
        """Append a line each. Raises Undelivered."""
        data = b"".join([line(finished(request)) for request in requests])
        try:
            if self._path == "-":
                sys.stdout.flush()
            else:
                self._follow()
            while data:
                data = data[os.write(self._descriptor, data) :]
        except OSError as error:
            # What has been written of the batch stands: written again, some lines would be there twice.
            raise Undelivered(f"cannot be written: {error.strerror}", again=self._descriptor < 0) from error

    def _follow(self) -> None:
        """Open the file; anew where it was renamed or removed, as log rotation does."""
        if self._descriptor >= 0:
            try:
                there, ours = os.stat(self._path), os.fstat(self._descriptor)
                if (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino):
                    return
            except FileNotFoundError:
                pass
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)
        self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)


def line(request: Finished) -> bytes:
    """One request as a line: what is unknown is left out, and the time is in words."""
    fields: dict[str, Any] = msgspec.to_builtins(request)
    when = datetime.fromtimestamp(request.time, UTC)
    fields["time"] = when.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    for name in ("judge_s", "queue_s", "ttft_s", "tta_s"):
        if name in fields:
            fields[name] = round(fields[name], 6)
    return _encode(fields) + b"\n"
