"""`thinkgate serve`: the gateway alone."""

import argparse
import socket
from collections.abc import Callable
from pathlib import Path

from app.config_file import ConfigError, load_settings
from app.settings import Settings
from router.judges.base import Judge, JudgeError
from router.judges.weights import CARD


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Register the command."""
    parser = commands.add_parser("serve", help="run the gateway", description="Run the gateway until Ctrl-C.")
    parser.add_argument("--config", required=True, metavar="FILE", help="the configuration, a YAML file")
    parser.add_argument("--host", help="listen here instead of server.host")
    parser.add_argument("--port", type=int, help="listen here instead of server.port; 0 takes a free one")
    parser.add_argument("--check", action="store_true", help="validate the configuration and exit")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Serve, or only check the file."""
    from app.gateway import create_app
    from app.server import check_exposure, serve
    from app.server.reload import FileWatch, Reloader

    if not arguments.check and (settings := read(arguments)).server.workers > 1:
        return _run_workers(arguments, settings)
    settings, judge = load(arguments)
    if arguments.check:
        _check(settings, settings.server.host)
        routes = ", ".join(settings.routes)
        print(f"{arguments.config}: fine (routes: {routes}; judge: {judge.name}@{judge.version})")
        return 0
    app = create_app(settings, judge=judge)

    def load_again() -> tuple[Settings, Judge]:
        settings, judge = load(arguments)
        check_exposure(settings, app.settings.server.host)  # the address stays what it is
        return settings, judge

    watch = FileWatch(Path(arguments.config), lambda: _judge_card(app.settings))
    return serve(app, settings, Reloader(app, load_again, watch))


def _judge_card(settings: Settings) -> Path | None:
    """The file that changes when the judge's weights do."""
    path = settings.judge.path
    return Path(path) / CARD if path and settings.judge.kind != "encoder" else None


def _run_workers(arguments: argparse.Namespace, settings: Settings) -> int:
    """Supervise. The judge is loaded by each worker: what an ONNX session starts does not live through a fork."""
    from app.gateway import create_app, judge_from
    from app.server import check_exposure
    from app.server.reload import Reloader
    from app.server.worker import be_worker
    from app.server.workers import Source, Workers

    host = settings.server.host
    check_exposure(settings)

    def load_again() -> tuple[Settings, Judge]:
        settings, judge = load(arguments)
        check_exposure(settings, host)
        return settings, judge

    def work(settings: Settings, sockets: list[socket.socket], sock: socket.socket) -> int:
        app = create_app(settings, judge=_judge(settings, judge_from))
        return be_worker(app, Reloader(app, load_again, None), sockets, sock)

    def check() -> None:
        _check(load(arguments)[0], host)

    return Workers(settings, Source(Path(arguments.config), _judge_card, lambda: read(arguments), check, work)).run()


def _check(settings: Settings, host: str) -> None:
    """Make what the settings ask for, beyond the judge, and throw it away. Raises ConfigError."""
    from app.gateway import decision_log, pools_from
    from app.keys.keyring import Keyring
    from app.metrics import Meters
    from app.server import check_exposure
    from app.state.shared import Shared

    check_exposure(settings, host)
    Keyring(settings.auth)
    pools_from(settings)
    decision_log(settings, meters := Meters())
    Shared(settings, meters)


def read(arguments: argparse.Namespace) -> Settings:
    """The settings of the file and the command line. Raises ConfigError."""
    settings = load_settings(arguments.config)
    changes = {k: v for k in ("host", "port") if (v := getattr(arguments, k)) is not None}
    if changes:
        settings = settings.model_copy(update={"server": settings.server.model_copy(update=changes)})
    return settings


def load(arguments: argparse.Namespace) -> tuple[Settings, Judge]:
    """The settings, and the judge that they want. Raises ConfigError."""
    from app.gateway import judge_from

    settings = read(arguments)
    return settings, _judge(settings, judge_from)


def _judge(settings: Settings, judge_from: Callable[[Settings], Judge]) -> Judge:
    try:
        return judge_from(settings)
    except (OSError, ValueError, JudgeError) as error:
        raise ConfigError(f"judge: cannot be loaded: {error}") from error
