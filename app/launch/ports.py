"""Free ports: finding, holding and explaining who has one. Knows no engine."""

import errno
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from app.launch.errors import LaunchError

FIRST_ENGINE_PORT = 8101  # below the range from which the kernel gives ports to outgoing connections
_PORTS_TRIED = 500


@dataclass(frozen=True, slots=True)
class Reservation:
    """A port held for an engine, through its restarts: bound but not listening.

    vLLM binds with SO_REUSEADDR and so may join; a second supervisor looking for a free port may not.
    """

    port: int
    held: socket.socket

    def release(self) -> None:
        self.held.close()


def reserve_port(wanted: int | None = None) -> Reservation:
    """Hold `wanted` on 127.0.0.1, or the first free port from 8101 on."""
    if wanted is not None:
        if not (sock := _hold(wanted)):
            raise LaunchError(_taken("127.0.0.1", wanted))
        return Reservation(wanted, sock)
    for port in [*range(FIRST_ENGINE_PORT, FIRST_ENGINE_PORT + _PORTS_TRIED), 0]:
        if sock := _hold(port):
            return Reservation(sock.getsockname()[1], sock)
    raise LaunchError("No free port on 127.0.0.1.")


def _hold(port: int) -> socket.socket | None:
    with socket.socket() as probe:  # without SO_REUSEADDR: fails wherever anybody holds the port in any way
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return None
        port = probe.getsockname()[1]
    held = socket.socket()
    held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        held.bind(("127.0.0.1", port))
    except OSError:
        held.close()
        return None
    return held


def gateway_port(host: str, port: int) -> int:
    """Check that the gateway can listen there; 0 becomes a free port. Raises LaunchError naming who is there."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    except OSError as error:
        raise LaunchError(f"{host!r} is not an address of this machine: {error}") from error
    with socket.socket(family, kind) as probe:
        # As servers do: a port whose old connections are in TIME_WAIT is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
            probe.listen(1)
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LaunchError(_taken(host, port)) from error
            if error.errno == errno.EACCES:
                raise LaunchError(
                    f"Port {port} needs more rights than this user has. Choose one above 1023."
                ) from error
            raise LaunchError(f"Cannot listen on {host} port {port}: {error.strerror or error}") from error
        return int(probe.getsockname()[1])


def _taken(host: str, port: int) -> str:
    holder = find_holder(port)
    who = f"by {holder}" if holder else "by a process of another user or container"
    return f"Port {port} on {host} is taken {who}. Stop it, or choose another with --port (0 takes a free one)."


def find_holder(port: int, proc: Path = Path("/proc")) -> str | None:
    """`name (pid 123)` of the process that listens on a TCP port; None where /proc does not tell."""
    inodes = {f"socket:[{inode}]" for inode in _listening_inodes(port, proc)}
    if not inodes:
        return None
    for process in proc.glob("[0-9]*"):
        try:
            if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
                return f"{' '.join(words).strip()[:80] or 'a process'} (pid {process.name})"
        except OSError:  # gone, or not ours to look into
            continue
    return None


def _listening_inodes(port: int, proc: Path) -> list[str]:
    inodes = []
    for table in ("tcp", "tcp6"):
        try:
            lines = (proc / "net" / table).read_text().splitlines()[1:]
        except OSError:
            continue
        for line in lines:
            cells = line.split()
            if int(cells[1].rsplit(":", 1)[1], 16) == port and cells[3] == "0A":  # 0A: LISTEN
                inodes.append(cells[9])
    return inodes
