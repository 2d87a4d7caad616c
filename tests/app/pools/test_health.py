"""Health checks: up, down, and the backend's own queue."""

import asyncio

import httpx
import pytest

from app.pools.health import HealthChecks
from app.pools.pool import Pool
from app.settings import Health, Timeouts
from app.settings import Pool as Settings
from tests.app.conftest import soon


class Backends:
    """A fake transport: what each path answers now."""

    def __init__(self) -> None:
        self.healthy = True
        self.metrics = b""
        self.asked: list[str] = []
        self.hosts: set[str] = set()
        self.delay_s = 0.0

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request.url.path)
        self.hosts.add(request.headers["host"])
        await asyncio.sleep(self.delay_s)
        if request.url.path == "/metrics":
            return httpx.Response(200 if self.metrics else 404, content=self.metrics)
        if not self.healthy:
            raise httpx.ConnectError("refused")
        return httpx.Response(200)


def checks(pool: Pool, backends: Backends, **settings) -> tuple[HealthChecks, list[bool]]:
    seen: list[bool] = []
    found = HealthChecks(
        [pool],
        Health(**{"interval_s": 0.01, "load_interval_s": 0.01, **settings}),
        lambda _, replica: seen.append(replica.up),
        httpx.MockTransport(backends),
    )
    return found, seen


@pytest.fixture
def pool() -> Pool:
    return Pool("p", Settings(model="m", replicas=["http://name:8000"]), Timeouts())


async def test_a_replica_that_does_not_answer_the_first_check_is_down_at_once(pool):
    backends = Backends()
    backends.healthy = False
    found, seen = checks(pool, backends)
    await found.check_all()
    assert seen == [False]
    assert not pool.up


async def test_later_a_single_failure_is_forgiven(pool):
    backends = Backends()
    found, seen = checks(pool, backends, down_after=3)
    await found.check_all()
    backends.healthy = False
    await found.check_all()
    await found.check_all()
    assert pool.up
    await found.check_all()
    assert not pool.up
    backends.healthy = True
    await found.check_all()
    assert pool.up
    assert seen == [True, False, True]


async def test_it_goes_on_in_the_background(pool):
    backends = Backends()
    found, _ = checks(pool, backends, down_after=1)
    await found.start()
    try:
        backends.healthy = False
        assert await soon(lambda: not pool.up, 5)
        backends.healthy = True
        assert await soon(lambda: pool.up, 5)
    finally:
        await found.stop()
    count = len(backends.asked)
    await asyncio.sleep(0.05)
    assert len(backends.asked) == count


async def test_a_replica_that_a_request_has_found_down_is_checked_again_soon(pool):
    backends = Backends()
    found, _ = checks(pool, backends, interval_s=0.02, load_interval_s=0)
    await found.start()
    try:
        pool.replicas[0].checked(False)
        assert await soon(lambda: pool.up, 5)
    finally:
        await found.stop()


async def test_a_check_that_takes_too_long_has_failed(pool):
    backends = Backends()
    backends.delay_s = 5
    found, seen = checks(pool, backends, timeout_s=0.05)
    await found.check_all()
    assert seen == [False]


async def test_the_backends_queue_becomes_load(pool):
    backends = Backends()
    backends.metrics = b"vllm:num_requests_running 4\nvllm:num_requests_waiting 2\n"
    found, _ = checks(pool, backends)
    await found.check_all()
    assert pool.replicas[0].load_beyond == 8
    backends.healthy = False
    for _ in range(3):
        await found.check_all()
    assert pool.replicas[0].load_beyond == 0, "what is not known is not counted"


async def test_a_backend_without_metrics_is_not_asked_again_soon(pool):
    backends = Backends()
    found, _ = checks(pool, backends)
    await found.start()
    await asyncio.sleep(0.1)
    await found.stop()
    assert backends.asked.count("/metrics") == 1
    assert backends.asked.count("/health") > 2


async def test_the_queue_is_not_looked_at_where_that_is_switched_off(pool):
    backends = Backends()
    found, _ = checks(pool, backends, load_interval_s=0)
    await found.check_all()
    assert backends.asked == ["/health"]


async def test_replicas_found_by_name_are_asked_at_their_address_under_their_name(pool):
    pool.resolved([("http://name:8000", "10.1.1.1"), ("http://name:8000", "fd00::1")])
    backends = Backends()
    found, _ = checks(pool, backends)
    await found.check_all()
    assert backends.hosts == {"name:8000"}
    assert len(backends.asked) == 4


async def test_a_pool_may_have_a_health_path_of_its_own(pool):
    backends = Backends()
    other = Pool("o", Settings(model="m", replicas=["http://name:8000"], health_path="/-/healthz"), Timeouts())
    for one in (pool, other):
        await checks(one, backends, load_interval_s=0)[0].check_all()
    assert backends.asked == ["/health", "/-/healthz"]
