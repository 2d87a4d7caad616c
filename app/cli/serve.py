"""`thinkgate serve`: the gateway alone."""

import argparse

from app.config_file import ConfigError, load_settings
from router.judges.base import JudgeError


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
    from app.gateway import create_app, judge_from
    from app.server import check_exposure, serve

    settings = load_settings(arguments.config)
    changes = {k: v for k in ("host", "port") if (v := getattr(arguments, k)) is not None}
    if changes:
        settings = settings.model_copy(update={"server": settings.server.model_copy(update=changes)})
    try:
        judge = judge_from(settings)
    except (OSError, ValueError, JudgeError) as error:
        raise ConfigError(f"judge: cannot be loaded: {error}") from error
    if arguments.check:
        check_exposure(settings)
        routes = ", ".join(settings.routes)
        print(f"{arguments.config}: fine (routes: {routes}; judge: {judge.name}@{judge.version})")
        return 0
    return serve(create_app(settings, judge=judge), settings)
