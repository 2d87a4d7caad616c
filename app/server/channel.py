"""What supervisor and worker say to each other, and how. Knows messages and a socket; knows no process.

A line of JSON a message, over a pair of sockets. The other end is gone when its process is, however that ended.
"""

import socket

import msgspec

from app.metrics.totals import Family


class Ready(msgspec.Struct, tag=True):
    """Worker: I take requests."""


class Leaving(msgspec.Struct, tag=True):
    """Worker: I take no more of them, without having been told; another one is needed."""


class Report(msgspec.Struct, tag=True):
    """Worker: what I have counted."""

    families: list[Family]


class Totals(msgspec.Struct, tag=True):
    """Worker: what have all counted? Supervisor: this."""

    text: str = ""


class Count(msgspec.Struct, tag=True):
    """Supervisor: report."""


class Reload(msgspec.Struct, tag=True):
    """Supervisor: read the configuration again; it has been checked."""


class Stop(msgspec.Struct, tag=True):
    """Supervisor: finish what is open, then end."""


class StopNow(msgspec.Struct, tag=True):
    """Supervisor: end."""


ToSupervisor = Ready | Leaving | Report | Totals
ToWorker = Totals | Count | Reload | Stop | StopNow
_encode = msgspec.json.Encoder().encode
_from_worker: msgspec.json.Decoder[ToSupervisor] = msgspec.json.Decoder(ToSupervisor)
_from_supervisor: msgspec.json.Decoder[ToWorker] = msgspec.json.Decoder(ToWorker)


def line_of(message: ToSupervisor | ToWorker) -> bytes:
    """A message as it is sent: JSON has no line break of its own."""
    return _encode(message) + b"\n"


def for_worker(line: bytes) -> ToWorker:
    """What a supervisor has said."""
    return _from_supervisor.decode(line)


class Channel:
    """The supervisor's end: never waits for a worker, neither to read nor to write."""

    def __init__(self, sock: socket.socket) -> None:
        sock.setblocking(False)
        self._sock = sock
        self._in = bytearray()
        self._out = bytearray()

    def fileno(self) -> int:
        """For a selector."""
        return self._sock.fileno()

    @property
    def backlog(self) -> bool:
        """Is there something that the worker has not taken yet?"""
        return bool(self._out)

    def send(self, message: ToWorker) -> None:
        """Send, or keep until `flush` can."""
        self._out += line_of(message)
        self.flush()

    def flush(self) -> None:
        """Send what was kept, as far as it goes. What a worker that is gone would have got is dropped."""
        try:
            while self._out:
                del self._out[: self._sock.send(self._out)]
        except BlockingIOError:
            pass
        except OSError:
            self._out.clear()

    def receive(self) -> list[ToSupervisor] | None:
        """The messages that are there; None at their end."""
        try:
            data = self._sock.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            return None
        if not data:
            return None
        self._in += data
        *whole, rest = bytes(self._in).split(b"\n")
        self._in = bytearray(rest)
        return [_from_worker.decode(line) for line in whole]

    def close(self) -> None:
        """Say no more."""
        self._sock.close()
