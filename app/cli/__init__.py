"""The command line: one module a command. Knows the commands' names; each module knows its own work."""

import argparse
import logging
import os
import select
import sys
from collections.abc import Sequence
from importlib import import_module

from app.config_file import ConfigError
from router.judges.base import JudgeError

COMMANDS = ("serve", "up", "route", "judge", "label", "keys")
"""A command's module is loaded where it is used, or to list them all: the gateway starts without the others."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; the exit status. Problems of the configuration are told in words, not as a traceback."""
    arguments_given = sys.argv[1:] if argv is None else argv
    parser = argparse.ArgumentParser(
        prog="thinkgate",
        description="An OpenAI-compatible gateway that decides for each request whether the answer needs thinking.",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name in COMMANDS:
        if name in arguments_given[:1] or not set(COMMANDS) & set(arguments_given[:1]):
            import_module(f"app.cli.{name}").add_parser(commands)
    arguments = parser.parse_args(arguments_given)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    for noisy in ("httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    try:
        status: int = arguments.run(arguments)
        sys.stdout.flush()
    except BrokenPipeError:
        if not _nobody_reads():
            raise
        return 141  # as if by SIGPIPE: `| head` had enough
    except (ConfigError, JudgeError) as error:
        print(f"thinkgate: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return status


def _nobody_reads() -> bool:
    """Has whoever read our output left? What is left of it then goes nowhere, instead of failing again at the exit."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    if not output.poll(0):
        return False
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return True
