"""The listening side: sockets, uvicorn, signals. Knows how to serve an ASGI application; knows none of its routes."""

import asyncio
import contextlib
import gc
import ipaddress
import logging
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from types import FrameType
from typing import Any

import uvicorn

from app.config_file import ConfigError
from app.errors import Stopping
from app.gateway import Gateway
from app.server.lane import LaneProtocol, protocol_for
from app.server.reload import Reloader
from app.settings import Settings

log = logging.getLogger("thinkgate")
KEEP_ALIVE_S = 75  # longer than the usual 60 s of proxies in front, so that they close first
BACKLOG = 2048
CUT_OFF_S = 5  # for errors to reach clients that are cut off, and for their connections to close


class GatewayServer(uvicorn.Server):
    """uvicorn's server, which ends with status 0 after a signal instead of raising it again.

    After the first signal the gateway is not ready but goes on for `drain_delay_s`; then it takes no more requests and
    lets open ones finish for `drain_timeout_s`; what is left then ends with an error. A second signal ends it at once.
    """

    def __init__(self, config: uvicorn.Config, app: Gateway, reloader: Reloader | None = None) -> None:
        super().__init__(config)
        self._app = app
        self._reloader = reloader

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGINT and SIGTERM end the server: first in peace, the second time at once. SIGHUP reloads."""
        handlers = {signal.SIGINT: self.handle_exit, signal.SIGTERM: self.handle_exit}
        if hasattr(signal, "SIGHUP"):
            handlers[signal.SIGHUP] = self._handle_reload
        before = {s: signal.signal(s, handler) for s, handler in handlers.items()}
        try:
            yield
        finally:
            for s, handler in before.items():
                signal.signal(s, handler)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """The first signal begins the end, the second is the end."""
        if self._app.stopping:
            self.should_exit = self.force_exit = True
            return
        self._app.stopping = True
        delay_s = self._app.settings.server.drain_delay_s
        if not delay_s or not self.started:
            self.should_exit = True
            return
        log.warning("not ready from now on; %g s until no more requests are taken", delay_s)
        threading.Timer(delay_s, self._exit).start()

    def _exit(self) -> None:
        self.should_exit = True  # looked at ten times a second

    def _handle_reload(self, sig: int, frame: FrameType | None) -> None:
        if self._reloader is not None:
            self._reloader.request()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Start, and say where."""
        await super().startup(sockets)
        if sockets and not self.should_exit:
            if self._reloader is not None:
                self._reloader.start()
            self.announce(sockets)
            gc.collect()
            gc.freeze()  # what startup made lives for good: the collector need not walk it again
            gc.set_threshold(10_000, 20, 50)  # requests leave no cycles behind: look for some less often

    def announce(self, sockets: list[socket.socket]) -> None:
        """Say that requests are taken, and where."""
        say_ready(sockets[0])

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take no more requests, let open ones finish, cut off the rest."""
        if self._reloader is not None:
            await self._reloader.stop()
        seconds = self._app.settings.server.drain_timeout_s
        limit = asyncio.get_running_loop().call_later(seconds, self._cut_off)
        self.config.timeout_graceful_shutdown = round(seconds + CUT_OFF_S)
        await super().shutdown(sockets)
        limit.cancel()

    def _cut_off(self) -> None:
        error = Stopping("The gateway is stopping and could not wait for the end of this answer.")
        open_now = [c for c in self.server_state.connections if isinstance(c, LaneProtocol)]
        log.warning("the time for open requests is over; %d connections are cut off", len(open_now))
        for connection in open_now:
            connection.stop(error)


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
        sockets.append(listener(family, address, shared=count > 1))
        if address[1] == 0:
            address = (address[0], sockets[0].getsockname()[1], *address[2:])
    return sockets


def listener(family: int, address: tuple[Any, ...], *, shared: bool) -> socket.socket:
    """One bound socket. Raises ConfigError if the address cannot be had."""
    # asyncio (uvloop needs no telling) sets TCP_NODELAY only where the protocol is named; without it a head and its
    # body, written apart, are 40 ms apart.
    sock = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if shared:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind(address)
    except OSError as error:
        sock.close()
        raise ConfigError(f"server.port: {address[0]}:{address[1]} cannot be had: {error.strerror}") from error
    sock.set_inheritable(True)
    return sock


def say_ready(sock: socket.socket) -> None:
    """The one line that the process prints when it takes requests."""
    host, port = sock.getsockname()[:2]
    name = f"[{host}]" if ":" in host else host
    print(f"thinkgate is ready on http://{name}:{port}  (Ctrl-C stops it · 按 Ctrl-C 停止)", flush=True)


def check_exposure(settings: Settings, host: str = "") -> None:
    """Without keys only this machine may reach the gateway, at `host` or the configured one. Raises ConfigError."""
    if settings.auth is not None:
        return
    host = host or settings.server.host
    try:
        loopback = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise ConfigError(
            f"server.host: {host} is open to others, but there is no `auth`: add auth.keys, or listen on 127.0.0.1"
        )
    log.warning("no `auth` in the configuration: whoever reaches %s may use the gateway", host)


def serve(app: Gateway, settings: Settings, reloader: Reloader | None = None) -> int:
    """Serve until SIGINT or SIGTERM, then let open streams finish; the exit status."""
    server = settings.server
    check_exposure(settings)
    sockets = open_listeners(server.host, server.port, server.listeners)
    runner = GatewayServer(server_config(app), app, reloader)
    runner.run(sockets)
    return 0 if runner.started else 1


def server_config(app: Gateway) -> uvicorn.Config:
    """How uvicorn serves the gateway."""
    return uvicorn.Config(
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
    )
