"""How long a judgement takes, on one core. Run with `-s` to see the numbers."""

import statistics
import time

import pytest

from router.conversation import read_conversation
from router.judges import LinearJudge

JUDGE = LinearJudge.load()
SENTENCE = "Find the smallest positive integer n such that n^2 + 3n + 5 is divisible by 121, and explain why. "
CHARS_PER_TOKEN = 4
SLACK = 3.0  # a shared machine under test load; the limits themselves are for a quiet core


def median_us(text: str, rounds: int) -> tuple[float, float]:
    """(judging alone, reading the messages and judging), medians in microseconds of CPU time."""
    judged, both = [], []
    messages = [{"role": "user", "content": text}]
    conversation = read_conversation(messages)
    for _ in range(rounds):
        started = time.perf_counter_ns()
        JUDGE.score(conversation)
        middle = time.perf_counter_ns()
        JUDGE.score(read_conversation(messages))
        judged.append((middle - started) / 1000)
        both.append((time.perf_counter_ns() - middle) / 1000)
    return statistics.median(judged), statistics.median(both)


@pytest.mark.parametrize(("tokens", "limit_us"), [(30, 60), (200, 120), (8000, 1000)])
def test_a_judgement_is_fast(tokens: int, limit_us: int) -> None:
    text = (SENTENCE * (tokens * CHARS_PER_TOKEN // len(SENTENCE) + 1))[: tokens * CHARS_PER_TOKEN]
    median_us(text, 50)
    judged, both = median_us(text, 1000)
    print(f"\n{tokens} tokens: judge p50 {judged:.1f} us, with reading the messages {both:.1f} us (limit {limit_us})")
    assert both < limit_us * SLACK
