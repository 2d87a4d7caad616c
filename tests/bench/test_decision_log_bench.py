"""What the decision log costs: the event loop an append, the writer a row. Run with `-s` to see the numbers."""

import asyncio
import statistics
import threading
import time
from pathlib import Path

import pytest

from app.decisions.log import DecisionLog
from app.decisions.record import DecisionRecord
from app.decisions.sqlite import SqliteStore
from app.decisions.store import Query
from app.decisions.writer import BATCH_ROWS
from app.metrics import Meters
from tests.app.decisions.conftest import record

ROWS = 20_000


def median_us(seconds: list[float], operations: int) -> float:
    return statistics.median(seconds) / operations * 1e6


def test_what_an_append_costs(tmp_path: Path) -> None:
    values = [getattr(record(), name) for name in DecisionRecord.__struct_fields__]
    one = DecisionRecord(*values)
    made, appended, refused = [], [], []
    for _ in range(20):
        log = DecisionLog(
            SqliteStore(str(tmp_path / "x.db")),
            keep_days=30,
            store_prompts=False,
            dropped=Meters().decisions_dropped,
        )
        started = time.perf_counter()
        for _ in range(10_000):
            DecisionRecord(*values)
        made.append(time.perf_counter() - started)
        for times in (appended, refused):  # up to the capacity, and beyond
            started = time.perf_counter()
            for _ in range(10_000):
                log.append(one)
            times.append(time.perf_counter() - started)
    print(
        f"\nrecord {median_us(made, 10_000):.3f} us, append {median_us(appended, 10_000):.3f} us, "
        f"refusal by a full queue {median_us(refused, 10_000):.3f} us"
    )


@pytest.mark.parametrize("rows_before", [0, 200_000])
def test_what_a_row_costs_the_writer(tmp_path: Path, rows_before: int) -> None:
    store = SqliteStore(str(tmp_path / "thinkgate.db"))
    for _ in range(rows_before // 10_000):
        store.write([record() for _ in range(10_000)])
    batches = [[record() for _ in range(BATCH_ROWS)] for _ in range(ROWS // BATCH_ROWS)]
    cpu, wall = [], []
    for batch in batches:
        began_cpu, began = time.thread_time(), time.perf_counter()
        store.write(batch)
        cpu.append(time.thread_time() - began_cpu)
        wall.append(time.perf_counter() - began)
    began = time.perf_counter()
    removed = store.forget(float("inf"), 1000)
    forgetting_ms = (time.perf_counter() - began) * 1e3
    began = time.perf_counter()
    page = store.page(Query("default", 50))
    reading_ms = (time.perf_counter() - began) * 1e3
    store.close()
    size = (tmp_path / "thinkgate.db").stat().st_size / (rows_before + ROWS)
    print(
        f"\nafter {rows_before} rows: CPU {median_us(cpu, BATCH_ROWS):.2f} us a row, "
        f"wall {median_us(wall, BATCH_ROWS):.2f} us, {size:.0f} bytes; "
        f"1000 forgotten in {forgetting_ms:.1f} ms, a page read in {reading_ms:.2f} ms"
    )
    assert removed == 1000
    assert len(page) == 50


async def test_how_long_the_loop_is_held_up_while_a_backlog_is_written(tmp_path: Path) -> None:
    """The writer needs Python's lock too: the longest turn of an event loop that has nothing else to do."""
    store = SqliteStore(str(tmp_path / "thinkgate.db"))
    log = DecisionLog(store, keep_days=30, store_prompts=False, dropped=Meters().decisions_dropped)
    rows = [record() for _ in range(10_000)]

    async def turns_ms(until: threading.Event | None, limit_s: float) -> list[float]:
        times, last = [], time.perf_counter()
        end = last + limit_s
        while last < end and not (until is not None and until.is_set()):
            await asyncio.sleep(0)
            now = time.perf_counter()
            times.append((now - last) * 1e3)
            last = now
        return sorted(times)

    idle = await turns_ms(None, 0.3)
    for one in rows:
        log.append(one)
    log.start()
    done = threading.Event()
    threading.Thread(target=lambda: (log._writer.flush(60), done.set())).start()
    busy = await turns_ms(done, 60)
    await log.stop()
    print(
        f"\na turn of the loop, p50 / p99.9 / longest: idle {idle[len(idle) // 2]:.3f} / "
        f"{idle[-len(idle) // 1000]:.2f} / {idle[-1]:.2f} ms, "
        f"while 10000 rows are written {busy[len(busy) // 2]:.3f} / "
        f"{busy[-max(1, len(busy) // 1000)]:.2f} / {busy[-1]:.2f} ms"
    )
    assert len(store.page(Query("default", 20_000))) == len(rows)
