"""Which replica of a pool a request goes to."""

import asyncio

from tests.app.conftest import soon
from tests.app.replicas.holding import NO_FALLBACK, Hold, two


async def test_a_burst_on_replicas_without_connections_spreads(start, others):
    a, b = others
    hold = Hold()
    a.default = b.default = hold
    gateway = await start(pools=two(a, b), profiles=NO_FALLBACK)
    tasks = [asyncio.create_task(gateway.chat()) for _ in range(40)]  # one session: it prefers one of them
    assert await soon(lambda: hold.reached == 40, 10)
    assert max(len(a.requests), len(b.requests)) <= 25, "requests that still connect count as in flight"
    hold.go.set()
    assert {answer.status_code for answer in await asyncio.gather(*tasks)} == {200}
    await gateway.idle()


async def test_a_session_stays_with_its_replica(start, others):
    a, b = others
    gateway = await start(pools=two(a, b))
    for session in range(12):
        for _ in range(3):
            await gateway.chat({"x-session-id": f"s{session}"})
    by_session: dict[str, set[str]] = {}
    for name, upstream in (("a", a), ("b", b)):
        for request in upstream.requests:
            by_session.setdefault(request.headers["x-session-id"], set()).add(name)
    assert all(len(where) == 1 for where in by_session.values())
    assert len(set.union(*by_session.values())) == 2


async def test_a_models_own_name_keeps_its_session_too(start, others):
    a, b = others
    gateway = await start(pools=two(a, b))
    for i in range(8):
        await gateway.chat({"x-session-id": "one"}, model="instruct", messages=[{"role": "user", "content": str(i)}])
    assert sorted([len(a.requests), len(b.requests)]) == [0, 8]


async def test_a_queue_at_one_backend_sends_requests_to_the_other(start, others):
    a, b = others
    a.metrics = b"vllm:num_requests_running 50\nvllm:num_requests_waiting 9\n"
    b.metrics = b"vllm:num_requests_running 1\nvllm:num_requests_waiting 0\n"
    gateway = await start(pools=two(a, b))
    for i in range(10):
        await gateway.chat(messages=[{"role": "user", "content": str(i)}])
    assert (len(a.requests), len(b.requests)) == (0, 10)
