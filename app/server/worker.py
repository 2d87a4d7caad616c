"""One worker among several: the gateway's server, which says to its supervisor how it is, and does what that says.

Knows the gateway and its server; knows no other worker.
"""

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import Iterator
from types import FrameType

import uvicorn

from app.errors import Stopping
from app.gateway import Gateway
from app.metrics.totals import snapshot
from app.server.channel import (
    Count,
    Leaving,
    Ready,
    Reload,
    Report,
    Stop,
    StopNow,
    ToSupervisor,
    Totals,
    ToWorker,
    for_worker,
    line_of,
)
from app.server.reload import Reloader
from app.server.serving import GatewayServer, server_config

log = logging.getLogger("thinkgate")
MAX_LINE_BYTES = 1 << 26
TOTALS_LIMIT_S = 5.0


class WorkerServer(GatewayServer):
    """Serves until it is told to stop, or its supervisor is gone.

    Signals of a terminal and of a service manager reach all processes, and the supervisor tells of them too: here only
    SIGTERM counts, and once.
    """

    def __init__(self, config: uvicorn.Config, app: Gateway, reloader: Reloader, sock: socket.socket) -> None:
        super().__init__(config, app, reloader)
        self._sock = sock
        self._writer: asyncio.StreamWriter | None = None
        self._listening: asyncio.Task[None] | None = None
        self._asking: list[asyncio.Future[bytes]] = []
        app.meters.everybody = self._totals

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """SIGTERM: end, and say so, since nobody has told us to."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, self._on_term)
        yield

    def _on_term(self, sig: int, frame: FrameType | None) -> None:
        if not self._app.stopping:
            self._say_soon(Leaving())
            self.handle_exit(sig, frame)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen to the supervisor, then start."""
        reader, self._writer = await asyncio.open_unix_connection(sock=self._sock, limit=MAX_LINE_BYTES)
        self._listening = asyncio.get_running_loop().create_task(self._listen(reader), name="supervisor")
        await super().startup(sockets)

    def announce(self, sockets: list[socket.socket]) -> None:
        """The supervisor says where, once all are ready."""
        self._say(Ready())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """As the gateway does, with a last word of what was counted."""
        await super().shutdown(sockets)
        self._say(Report(snapshot(self._app.meters.registry)))
        if self._listening is not None:
            self._listening.cancel()
        if self._writer is not None:
            self._writer.close()  # what is in it is still sent
            with contextlib.suppress(OSError):
                await self._writer.wait_closed()

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        with contextlib.suppress(OSError):
            while line := await reader.readline():
                self._hear(for_worker(line))
        log.error("the supervisor is gone: this worker ends")
        if not self._app.stopping:
            self.handle_exit(signal.SIGTERM, None)

    def _hear(self, message: ToWorker) -> None:
        match message:
            case Count():
                self._say(Report(snapshot(self._app.meters.registry)))
            case Totals(text):
                asking, self._asking = self._asking, []
                for one in asking:
                    if not one.done():
                        one.set_result(text.encode())
            case Reload():
                self._handle_reload(signal.SIGHUP, None)
            case Stop():
                if not self._app.stopping:
                    self.handle_exit(signal.SIGTERM, None)
            case StopNow():
                self._app.stopping = True
                self.handle_exit(signal.SIGTERM, None)

    async def _totals(self) -> bytes:
        """What all workers have counted. Raises Stopping where the supervisor does not answer: half a sum would look
        like counters that have gone back."""
        asked = asyncio.get_running_loop().create_future()
        self._asking.append(asked)
        self._say(Totals())
        try:
            async with asyncio.timeout(TOTALS_LIMIT_S):
                text: bytes = await asked
        except TimeoutError as error:
            raise Stopping("The supervisor of the workers does not answer.") from error
        return text

    def _say(self, message: ToSupervisor) -> None:
        if self._writer is not None and not self._writer.is_closing():
            self._writer.write(line_of(message))

    def _say_soon(self, message: ToSupervisor) -> None:
        """From a signal handler, which may interrupt anything."""
        if self._writer is not None:
            asyncio.get_running_loop().call_soon_threadsafe(self._say, message)


def be_worker(app: Gateway, reloader: Reloader, sockets: list[socket.socket], sock: socket.socket) -> int:
    """Serve on the sockets until told to stop by way of `sock`; the exit status."""
    server = WorkerServer(server_config(app), app, reloader, sock)
    server.run(sockets)
    return 0 if server.started else 1
