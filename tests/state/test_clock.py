"""The real gateway as a process whose clock jumps a year ahead and back (libfaketime) with requests under way."""

import asyncio
import sqlite3
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.keys.digest import digest_of
from app.keys.file import StoredKey, write_keys
from app.limits.settings import Limits
from tests.chaos.client import Client, Outcomes, ask_at_rate, stream_for_ever
from tests.chaos.processes import Gateway, Replica, free_ports
from tests.chaos.run import settings

YEAR_S = 365 * 86_400


class Clock:
    """What a process with `environment` believes; the machine's own clock stays right."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "offset"
        self.set(0)
        (library,) = Path("/usr/lib").glob("*/faketime/libfaketime.so.1")
        self.environment = {
            "LD_PRELOAD": str(library),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",  # the clock of the day jumps; the steady one never does
        }

    def set(self, offset_s: int) -> None:
        new = self._file.with_suffix(".new")
        new.write_text(f"{offset_s:+}")
        new.replace(self._file)


def times(log: Path) -> list[float]:
    with sqlite3.connect(log) as connection:
        return [row[0] for row in connection.execute("SELECT time FROM decisions ORDER BY seq")]


async def until(condition, limit_s: float = 60.0) -> None:
    ends_s = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < ends_s
        await asyncio.sleep(0.1)


@pytest.mark.timeout(300)
async def test_no_request_fails_and_nothing_is_forgotten_when_the_clock_jumps_a_year_and_back(tmp_path):
    now, limits = datetime.now(UTC), Limits(requests_per_minute=100_000, tokens_per_hour=10_000_000)
    keys = [
        StoredKey(digest=digest_of(b"steady"), created=now, limits=limits),
        StoredKey(digest=digest_of(b"brief"), created=now, expires=now + timedelta(days=9)),
    ]
    write_keys(tmp_path / "keys.json", keys)
    log, clock = tmp_path / "decisions.db", Clock(tmp_path)
    (port,) = free_ports(1)
    replica = Replica(port, "fake", delay_ms=50.0, latency_ms=20.0, ttft_ms=20.0)
    changes = {
        "auth": {"keys_file": str(tmp_path / "keys.json")},
        "decisions": {"url": f"sqlite:///{log}", "keep_days": 30},
    }
    gateway = Gateway({**settings([port]), **changes}, environment=clock.environment)
    streams, requests, stop = Outcomes(), Outcomes(), asyncio.Event()

    async def brief() -> Outcomes:
        client, asked = Client(gateway.port, "brief"), Outcomes()
        await client.ask(asked, messages=[{"role": "user", "content": "x"}])
        client.close()
        return asked

    async def brief_ends(kind: str) -> None:
        for _ in range(100):
            if (await brief()).counts == {kind: 1}:
                return
            await asyncio.sleep(0.1)
        raise AssertionError(f"never {kind}")

    try:
        await replica.start()
        await gateway.start()
        load = [asyncio.create_task(stream_for_ever(gateway.port, streams, stop, i, 60, "steady")) for i in range(5)]
        load.append(asyncio.create_task(ask_at_rate(gateway.port, requests, stop, 20, "steady")))
        await brief_ends("ok")
        await until(lambda: len(times(log)) > 20)
        for offset_s, ending in ((YEAR_S, "refused"), (0, "ok"), (-YEAR_S, "ok"), (0, "ok")):
            clock.set(offset_s)
            await brief_ends(ending)  # a key's end is a time of day: the clock's word counts while it lasts
            expected_s = time.time() + offset_s
            await until(lambda expected_s=expected_s: abs(times(log)[-1] - expected_s) < 1000)
            if offset_s == YEAR_S:  # old rows are looked for once a minute
                await until(lambda: "the clock has jumped" in gateway.log.read_text(), 120)
            assert sum(times(log)[i] < time.time() + 1000 for i in range(20)) == 20, "the oldest are still there"
            seen = requests.counts["ok"], streams.counts["ok"]
            await until(lambda seen=seen: requests.counts["ok"] > seen[0] + 20 and streams.counts["ok"] > seen[1] + 5)
        stop.set()
        await asyncio.gather(*load)
        assert set(requests.counts) == {"ok"}, requests.examples
        assert set(streams.counts) == {"ok"}, streams.examples
        assert await gateway.stop() == 0
    finally:
        await replica.kill()
        await gateway.kill()
