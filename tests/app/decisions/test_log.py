"""The log: a queue that never waits, and a thread that writes it whatever happens to the disk."""

import asyncio
import logging
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import pytest

from app.decisions import writer
from app.decisions.sqlite import SqliteStore
from app.decisions.store import Query, StoreError
from app.decisions.writer import BATCH_ROWS
from tests.app.conftest import soon
from tests.app.decisions.conftest import everything, record


class FlakyStore(SqliteStore):
    """A store whose disk can be made to fail, or to stand still."""

    def __init__(self, path: str) -> None:
        super().__init__(path)
        self.failing = False
        self.gate = threading.Event()
        self.gate.set()
        self.tried = 0
        self.batches: list[int] = []

    def write(self, records):
        self.tried += 1
        self.gate.wait(30)
        if self.failing:
            raise StoreError("database or disk is full")
        self.batches.append(len(records))
        return super().write(records)


@pytest.fixture
def flaky(path):
    store = FlakyStore(path)
    yield store
    store.close()


def dropped(meters, cause="queue_full"):
    return meters.registry.get_sample_value("thinkgate_decisions_dropped_total", {"cause": cause})


async def test_records_are_written_soon_and_in_order(make, store):
    log = make(store)
    log.start()
    batch = [record() for _ in range(1234)]
    for one in batch:
        log.append(one)
    assert await asyncio.to_thread(log.page, Query("default", 5000)) == batch[::-1]


async def test_a_reader_sees_a_record_that_was_appended_just_now(make, store):
    log = make(store, flush_s=3600.0)
    log.start()
    for _ in range(5):
        one = record()
        log.append(one)
        assert await asyncio.to_thread(log.get, "default", one.id) == one


async def test_a_full_batch_does_not_wait_for_the_second(make, flaky):
    log = make(flaky, flush_s=3600.0)
    log.start()
    assert await soon(lambda: Path(flaky._path).exists(), 5)
    for _ in range(BATCH_ROWS + 1):
        log.append(record())
    assert await soon(lambda: flaky.batches, 5)
    assert max(flaky.batches) <= BATCH_ROWS


async def test_stopping_writes_what_waits(make, store):
    log = make(store, flush_s=3600.0)
    log.start()
    batch = [record() for _ in range(700)]
    for one in batch:
        log.append(one)
    await log.stop()
    assert everything(store) == batch


async def test_a_restart_keeps_the_rows(make, path):
    for rows in (3, 6):
        log = make(SqliteStore(path))
        log.start()
        for _ in range(3):
            log.append(record())
        await log.stop()
        assert len(everything(SqliteStore(path))) == rows


async def test_after_the_stop_records_are_dropped_and_counted(make, store, meters):
    log = make(store)
    log.start()
    await log.stop()
    log.append(record())
    assert dropped(meters) == 1


async def test_a_full_queue_drops_the_newest_and_counts_them(make, flaky, meters):
    log = make(flaky, capacity=100)
    flaky.gate.clear()
    batch = [record() for _ in range(150)]
    for one in batch:
        log.append(one)
    assert dropped(meters) == 50
    flaky.gate.set()
    log.start()
    await log.stop()
    assert everything(flaky) == batch[:100]


async def test_appending_does_not_wait_for_a_disk_that_stands_still(make, flaky):
    log = make(flaky)
    log.start()
    flaky.gate.clear()
    log.append(record())
    assert await soon(lambda: flaky.tried, 5)
    for _ in range(5000):  # would hang here
        log.append(record())
    flaky.gate.set()


async def test_a_disk_that_was_full_for_a_while_costs_no_record(make, flaky, meters, caplog):
    log = make(flaky)
    flaky.failing = True
    log.start()
    batch = [record() for _ in range(1500)]
    with caplog.at_level(logging.WARNING, "thinkgate"):
        for one in batch:
            log.append(one)
        assert await soon(lambda: flaky.tried > 5, 5)
        flaky.failing = False
        await log.stop()
    assert everything(flaky) == batch
    assert dropped(meters) == 0
    complaints = [r.getMessage() for r in caplog.records]
    assert len(complaints) == 2, "once a minute, and once when it is over"
    assert "disk is full" in complaints[0]
    assert "written again" in complaints[1]


async def test_it_complains_again_after_a_minute(make, flaky, caplog, monkeypatch):
    monkeypatch.setattr(writer, "_COMPLAIN_EVERY_S", 0.0)
    log = make(flaky)
    flaky.failing = True
    log.start()
    log.append(record())
    with caplog.at_level(logging.ERROR, "thinkgate"):
        assert await soon(lambda: len(caplog.records) > 3, 5)
    flaky.failing = False


async def test_what_a_dead_disk_takes_along_is_told_at_the_end(make, flaky, caplog):
    log = make(flaky)
    flaky.failing = True
    log.start()
    for _ in range(3):
        log.append(record())
    await log.stop()
    assert "the last 3 decisions could not be written" in caplog.text


@pytest.mark.parametrize("kind", ["missing folder", "folder", "not a database"])
async def test_a_path_that_cannot_be_written_stops_nobody(make, tmp_path, kind, caplog):
    path = tmp_path / "nowhere" / "thinkgate.db" if kind == "missing folder" else tmp_path
    if kind == "not a database":
        path = tmp_path / "x.db"
        path.write_bytes(b"nonsense" * 1000)
    log = make(SqliteStore(str(path)))
    log.start()
    one = record()
    log.append(one)
    with pytest.raises(StoreError):
        await asyncio.to_thread(log.page, Query("default", 1))
    assert "cannot be written" in caplog.text
    if kind == "missing folder":  # and once it can, it is
        path.parent.mkdir()
        assert await asyncio.to_thread(log.get, "default", one.id) == one


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")
async def test_a_device_without_space_stops_nobody(make):
    log = make(SqliteStore("/dev/full"))
    log.start()
    log.append(record())
    await log.stop()


async def test_records_that_cannot_be_kept_are_counted_and_the_others_are_kept(make, store, meters):
    log = make(store)
    log.start()
    good = record()
    log.append(record(prompt_tokens=2**64))
    log.append(good)
    await log.stop()
    assert everything(store) == [good]
    assert dropped(meters, "refused") == 1


async def test_a_fault_of_the_store_itself_does_not_come_back_with_every_batch(
    make, flaky, meters, caplog, monkeypatch
):
    log = make(flaky)
    monkeypatch.setattr(flaky, "write", lambda records: 1 / 0)
    log.start()
    log.append(record(prompt="secret"))
    assert await soon(lambda: dropped(meters, "refused") == 1, 5)
    monkeypatch.undo()
    good = record()
    log.append(good)
    await log.stop()
    assert everything(flaky) == [good]
    assert "ZeroDivisionError" in caplog.text
    assert "secret" not in caplog.text


async def test_old_decisions_are_forgotten(make, store):
    now = time.time()
    old, new = record(time=now - 2 * 86_400), record(time=now)
    store.write([old] * 1 + [record(time=now - 3 * 86_400) for _ in range(1500)] + [new])
    store.close()
    log = make(store, keep_days=1)
    log.start()
    assert await soon(lambda: everything(store) == [new], 10)


async def test_an_end_waits_for_a_slow_disk_no_longer_than_it_must(make, flaky, monkeypatch, caplog):
    monkeypatch.setattr(writer, "_LAST_BATCH_LIMIT_S", 0.05)
    log = make(flaky)
    log.start()
    assert await soon(lambda: Path(flaky._path).exists(), 5)
    flaky.gate.clear()
    log.append(record())
    await log.stop()
    assert "the last 1 decisions could not be written" in caplog.text
    flaky.gate.set()
    log._writer._thread.join(5)


KILLED = """
    import sys, time
    from app.decisions.log import DecisionLog
    from app.decisions.sqlite import SqliteStore
    from app.metrics import Meters
    from tests.app.decisions.conftest import record

    log = DecisionLog(
        SqliteStore(sys.argv[1]), keep_days=30, store_prompts=False, dropped=Meters().decisions_dropped, flush_s=0.05
    )
    log.start()
    n = 0
    while True:
        log.append(record(id=f"dec_{n}"))
        n += 1
        if n == 300:
            log._writer.flush(60)
        print(n, flush=True)
        time.sleep(0.001)
"""


def test_a_killed_process_loses_its_last_batch_at_most(path):
    process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(KILLED), path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    flushed, printed = 300, 0
    for line in process.stdout:
        printed = int(line)
        if printed == flushed + 100:
            process.send_signal(signal.SIGKILL)
            break
    appended = max([printed, *(int(line) for line in process.stdout.read().split())])
    process.stdout.close()
    assert process.wait(10) == -signal.SIGKILL
    kept = everything(SqliteStore(path))
    assert [r.id for r in kept] == [f"dec_{n}" for n in range(len(kept))], "no hole, nothing torn"
    assert flushed <= len(kept) <= appended
    log_goes_on = SqliteStore(path)
    assert log_goes_on.write([record()]) == 0
    log_goes_on.close()


def test_ringing_never_waits_and_is_not_lost():
    bell = writer.Bell()
    bell.ring()
    bell.ring()
    bell.wait(60)  # rung before: returns at once
    started = time.monotonic()
    bell.wait(0.01)
    assert time.monotonic() - started >= 0.009
    thread = threading.Thread(target=bell.wait, args=(60,))
    thread.start()
    bell.ring()
    thread.join(10)
    assert not thread.is_alive()
