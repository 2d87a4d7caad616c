"""The listening side: sockets, uvicorn, signals. Knows how to serve an ASGI application; knows none of its routes."""

import contextlib
import gc
import ipaddress
import logging
import signal
import socket
import sys
from collections.abc import Iterator

import uvicorn

from app.config_file import ConfigError
from app.gateway import Gateway
from app.server.lane import protocol_for
from app.settings import Settings

log = logging.getLogger("thinkgate")
KEEP_ALIVE_S = 75  # longer than the usual 60 s of proxies in front, so that they close first
BACKLOG = 2048


class GatewayServer(uvicorn.Server):
    """uvicorn's server, which ends with status 0 after a signal instead of raising it again."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the server: first in peace, the second time at once."""
        before = {s: signal.signal(s, self.handle_exit) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where."""
        await super().startup(sockets)
        if sockets and not self.should_exit:
            host, port = sockets[0].getsockname()[:2]
            name = f"[{host}]" if ":" in host else host
            print(f"thinkgate is ready on http://{name}:{port}  (Ctrl-C stops it · 按 Ctrl-C 停止)", flush=True)
            gc.collect()
            gc.freeze()  # what startup made lives for good: the collector need not walk it again
            gc.set_threshold(10_000, 20, 50)  # requests leave no cycles behind: look for some less often


def open_listeners(host: str, port: int, count: int) -> list[socket.socket]:
    """`count` sockets that share a port (SO_REUSEPORT). Raises ConfigError if the address cannot be had.

    With uvloop each listener accepts one connection in a turn of the loop; several keep new clients from waiting
    behind a thousand busy streams.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    except socket.gaierror as error:
        raise ConfigError(f"server.host: `{host}` cannot be resolved: {error.strerror}") from error
    # A port that somebody else shares must be an error too, so ask for it alone first.
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise ConfigError(f"server.port: {host}:{port} cannot be had: {error.strerror}") from error
    sockets = []
    for _ in range(count):
        sock = socket.socket(family, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if count > 1:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        try:
            sock.bind(address)
        except OSError as error:
            raise ConfigError(f"server.port: {host}:{port} cannot be had: {error.strerror}") from error
        if address[1] == 0:
            address = (address[0], sock.getsockname()[1], *address[2:])
        sock.set_inheritable(True)
        sockets.append(sock)
    return sockets


def check_exposure(settings: Settings) -> None:
    """Without keys only this machine may reach the gateway. Raises ConfigError otherwise."""
    if settings.auth is not None:
        return
    host = settings.server.host
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"server.host: {host} is open to others, but there is no `auth`: add auth.keys, or listen on 127.0.0.1"
        )
    log.warning("no `auth` in the configuration: whoever reaches %s may use the gateway", host)


def serve(app: Gateway, settings: Settings) -> int:
    """Serve until SIGINT or SIGTERM, then let open streams finish; the exit status."""
    server = settings.server
    check_exposure(settings)
    sockets = open_listeners(server.host, server.port, server.listeners)
    config = uvicorn.Config(
        app,
        http=protocol_for(app),
        loop="uvloop" if sys.platform != "win32" else "asyncio",
        ws="none",
        lifespan="on",
        access_log=False,
        server_header=False,
        proxy_headers=False,
        log_config=None,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=round(server.drain_timeout_s),
    )
    runner = GatewayServer(config)
    runner.run(sockets)
    return 0 if runner.started else 1
