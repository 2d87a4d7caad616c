"""A function in a process of its own. Knows fork and exit statuses; knows no worker."""

import logging
import os
import signal
import sys
from collections.abc import Callable

from app.config_file import ConfigError
from router.judges.base import JudgeError

log = logging.getLogger("thinkgate")


def fork(run: Callable[[], int]) -> int:
    """Run it in a copy of this process, which ends with its status (2: ConfigError, told in words); the copy's id.

    The copy leaves by `os._exit`: nothing of the caller's frames, which it has too, is unwound there. It ignores the
    signals that a terminal sends to all of a group: its maker says what they mean.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    pid = os.fork()
    if pid:
        return pid
    status = 1
    try:
        for number in (signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        for number in (signal.SIGTERM, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        status = run()
    except (ConfigError, JudgeError) as error:
        print(f"thinkgate: {error}", file=sys.stderr)
        status = 2
    except BaseException as error:
        log.error("%s", type(error).__name__, exc_info=error)
    finally:
        for stream in (sys.stdout, sys.stderr):
            try:
                stream.flush()
            except OSError:
                pass
        os._exit(status)
    raise AssertionError


def status_of(code: int) -> str:
    """An exit code in words; below zero: the signal that ended the process."""
    if code < 0:
        return f"was ended by {signal.Signals(-code).name}"
    return f"ended with status {code}"
