"""What vLLM's /metrics says of its queue. Knows the exposition format and two names; knows no replica."""

import re
from typing import NamedTuple

_SAMPLE = re.compile(
    rb"^vllm:(num_requests_running|num_requests_waiting|kv_cache_usage_perc|gpu_cache_usage_perc)(?:\{[^\n]*\})? (\S+)",
    re.MULTILINE,
)


class QueueDepth(NamedTuple):
    """Requests that the engines of one server compute and let wait, and the fullest one's KV cache (0 to 1)."""

    running: float
    waiting: float
    cache: float


def read_queue_depth(exposition: bytes) -> QueueDepth | None:
    """Summed over a server's engines; None where the text is not vLLM's."""
    running = waiting = cache = 0.0
    found = False
    for name, value in _SAMPLE.findall(exposition):
        try:
            number = float(value)
        except ValueError:
            continue
        if not 0 <= number < 1e9:  # not a number, or nonsense
            continue
        found = True
        if name == b"num_requests_running":
            running += number
        elif name == b"num_requests_waiting":
            waiting += number
        else:
            cache = max(cache, number)
    return QueueDepth(running, waiting, cache) if found else None
