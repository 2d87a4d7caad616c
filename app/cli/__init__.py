"""The command line: one module a command. Knows the commands' names; each module knows its own work."""

import argparse
import logging
import sys
from collections.abc import Sequence

from app.cli import judge, route, serve, up
from app.config_file import ConfigError
from router.judges.base import JudgeError


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status. Problems of the configuration are told in words, not as a traceback."""
    parser = argparse.ArgumentParser(
        prog="thinkgate",
        description="An OpenAI-compatible gateway that decides for each request whether the answer needs thinking.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for module in (serve, up, route, judge):
        module.add_parser(commands)
    arguments = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        status: int = arguments.run(arguments)
    except (ConfigError, JudgeError) as error:
        print(f"thinkgate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status
