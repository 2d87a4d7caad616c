"""Names that are looked up again and again."""

import asyncio

import pytest

from app.pools.discovery import Discovery, look_up
from app.pools.pool import Pool
from app.settings import Pool as Settings
from app.settings import Timeouts
from tests.app.conftest import soon


class Names:
    def __init__(self, **known: list[str]) -> None:
        self.known = known
        self.asked = 0

    async def __call__(self, host: str) -> list[str]:
        self.asked += 1
        if host not in self.known:
            raise OSError("no such name")
        return self.known[host]


def pool(*urls: str, resolve_s: float = 0.01) -> Pool:
    return Pool("p", Settings(model="m", replicas=list(urls), resolve_s=resolve_s), Timeouts())


def addresses(of: Pool) -> list[str]:
    return [replica.address for replica in of.replicas]


async def test_every_address_of_a_name_is_a_replica_from_the_start():
    names = Names(vllm=["10.0.0.1", "10.0.0.2"])
    p = pool("http://vllm:8000")
    discovery = Discovery([p], names)
    await discovery.start()
    assert addresses(p) == ["10.0.0.1", "10.0.0.2"]
    names.known["vllm"] = ["10.0.0.2", "10.0.0.3"]
    assert await soon(lambda: addresses(p) == ["10.0.0.2", "10.0.0.3"], 5)
    await discovery.stop()


async def test_a_look_up_that_fails_keeps_what_there_was():
    names = Names(vllm=["10.0.0.1"])
    p = pool("http://vllm:8000")
    discovery = Discovery([p], names)
    await discovery.start()
    names.known.clear()
    asked = names.asked
    assert await soon(lambda: names.asked > asked + 2, 5)
    assert addresses(p) == ["10.0.0.1"]
    await discovery.stop()


async def test_a_name_that_was_never_found_stays_a_name():
    p = pool("http://vllm:8000")
    discovery = Discovery([p], Names())
    await discovery.start()
    await discovery.stop()
    assert addresses(p) == [""]


async def test_pools_that_do_not_want_it_are_left_alone():
    names = Names(vllm=["10.0.0.1"])
    p = pool("http://vllm:8000", resolve_s=0)
    discovery = Discovery([p], names)
    await discovery.start()
    await asyncio.sleep(0.05)
    await discovery.stop()
    assert names.asked == 0
    assert addresses(p) == [""]


async def test_the_systems_resolver_is_asked():
    assert "127.0.0.1" in await look_up("127.0.0.1")
    with pytest.raises(OSError, match=r".*"):
        await look_up("no-such-name.invalid")
