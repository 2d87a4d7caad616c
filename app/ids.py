"""Identifiers of decisions and requests. Knows nothing of what they name."""

import os
import random
import time
from collections.abc import Mapping

_ids = random.Random(
    random.SystemRandom().getrandbits(128)
)  # an id names something and guards nothing: it need not be secret
if hasattr(os, "register_at_fork"):  # workers are forked: each has to go its own way
    os.register_at_fork(after_in_child=lambda: _ids.seed(random.SystemRandom().getrandbits(128)))


def new_id(prefix: str = "dec_") -> str:
    """A fresh identifier. It begins with the time, so that the index of a log of them grows at one end."""
    return f"{prefix}{int(time.time()):08x}{_ids.getrandbits(64):016x}"


def request_id(by_name: Mapping[bytes, bytes]) -> bytes:
    """What `x-request-id` of the answer says: the client's own id, cut at 256 bytes, or a fresh one."""
    return by_name.get(b"x-request-id", b"")[:256] or new_id("req_").encode()
