"""What backends do wrong, as scripts of a scripted upstream, and the answers that tests of them share."""

import asyncio

from tests.fixtures import recorded_stream

EVENTS = [e + b"\n\n" for e in recorded_stream("chat_instruct_stream_usage")[:-2].split(b"\n\n")]
SHORT = {"first_byte_s": 0.5, "idle_s": 0.5}
NO_FALLBACK = {"default": {"fallback": False}}


def payloads(body):
    return [e.removeprefix(b"data: ") for e in body[:-2].split(b"\n\n")]


async def reset(turn):
    turn.reset()


async def close_at_once(turn):
    return None


async def half_a_head(turn):
    await turn.send(b"HTTP/1.1 200 OK\r\ncontent-ty")


async def garbage(turn):
    await turn.send(b"\x00\x01 this is not HTTP\r\n\r\n")


async def head_and_nothing(turn):
    await turn.stream_head()


async def huge_head(turn):
    await turn.send(b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000)
    await turn.wait_gone(30)


async def silence(turn):
    await turn.wait_gone(30)


async def error_in_the_stream(turn):
    await turn.stream_head()
    await turn.chunk(recorded_stream("err_503_queue_full_stream"))
    await turn.send(b"0\r\n\r\n")
    return True


async def first_events(turn):
    await turn.stream_head()
    for event in EVENTS[:3]:
        await turn.chunk(event)
    await asyncio.sleep(0.02)


async def stall(turn):
    await first_events(turn)
    await turn.wait_gone(30)
