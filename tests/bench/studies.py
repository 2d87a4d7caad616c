"""How cost grows, one study a function: with workers, bodies, histories, streams, rates, time, with what is kept.

Each yields rows: figures of load.py beside the value that was varied (`at`). Starts gateways; prints nothing.
"""

import sqlite3
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from app.decisions.sqlite import SqliteStore
from tests.app.decisions.conftest import record
from tests.bench.gateways import Gateway, Started, started, thinkgate
from tests.bench.load import rss_mb
from tests.bench.phases import requests, streams
from tests.bench.processes import GATEWAY_CPU, Upstream, load, upstream

Row = dict[str, Any]
Say = Callable[[str], None]
MEGA = 10**6
COPIES = """
    WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n WHERE i < ?)
    INSERT INTO decisions (id, NAMES)
    SELECT printf('dec_00000000%016x', i), NAMES FROM n, (SELECT * FROM decisions WHERE seq = 1)
"""


@contextmanager
def _running(gateway: Gateway, cpu: str = GATEWAY_CPU) -> Iterator[tuple[Started, Upstream]]:
    with (
        upstream() as behind,
        tempfile.TemporaryDirectory(prefix="thinkgate-bench-") as directory,
        started(gateway, behind, Path(directory), cpu) as running,
    ):
        requests(running, behind, 8, 1.0)
        yield running, behind


def _request_row(at: float, run: Row) -> Row:
    wanted = ("rps", "gw_cpu_us_per_req", "gw_cpu_pct", "gw_rss_mb", "errors", "load_cpu_pct", "gw_starved_pct")
    return {"at": at, **{k: run.get(k) for k in wanted}, "p50_ms": (run["latency_us"] or {}).get("p50", 0) / 1e3}


def _stream_row(at: float, run: Row) -> Row:
    wanted = (
        *("chunks_s", "gw_cpu_us_per_chunk", "gw_cpu_pct", "gw_rss_mb", "completed", "unfinished", "errors"),
        *("load_cpu_pct", "gw_starved_pct"),
    )
    figures = {f"{k}_p99_ms": (run[f"{k}_us"] or {}).get("p99", 0) / 1e3 for k in ("ttft", "transit")}
    return {"at": at, **{k: run.get(k) for k in wanted}, **figures}


def workers(quick: bool, say: Say) -> Iterator[Row]:
    """Requests and streams against one worker and two. With two cores the load takes of the gateway's time: give the
    gateway cores of its own where there are more (`GATEWAY_CPU=1,2`)."""
    for count in (1, 2):
        cpus = GATEWAY_CPU if GATEWAY_CPU != "1" else "0,1"
        with _running(thinkgate(workers=count), cpus) as (gateway, behind):
            say(f"{count} workers, requests")
            run = requests(gateway, behind, 64, 1.0 if quick else 5.0)
            yield {"kind": "requests", "rss_mb": rss_mb(gateway.pid or 0), **_request_row(count, run)}
            say(f"{count} workers, streams")
            yield {"kind": "streams", **_stream_row(count, streams(gateway, behind, 512, 40 if quick else 200))}


def bodies(quick: bool, say: Say) -> Iterator[Row]:
    """Requests whose last message has so many characters."""
    with _running(thinkgate()) as (gateway, behind):
        for size in (1_000, 10_000, 100_000, 1_000_000, 10_000_000):
            say(f"{size:,} bytes")
            run = requests(gateway, behind, 4, 1.0 if quick else 4.0, "--prompt-chars", size)
            yield _request_row(size, run)


def history(quick: bool, say: Say) -> Iterator[Row]:
    """Requests with so many turns of 200 characters."""
    with _running(thinkgate()) as (gateway, behind):
        for turns in (1, 5, 20, 100, 500):
            say(f"{turns} turns")
            options = ("--prompt-chars", 200, "--turns", turns)
            yield _request_row(turns, requests(gateway, behind, 8, 1.0 if quick else 4.0, *options))


def concurrent(quick: bool, say: Say) -> Iterator[Row]:
    """So many streams at once, a chunk every 50 ms in each; the first row is the idle gateway's memory."""
    with _running(thinkgate()) as (gateway, behind):
        yield {"at": 0, "gw_rss_mb": rss_mb(gateway.pid or 0)}
        for count in (1, 16, 64, 256, 1024, 2048):
            say(f"{count} streams")
            yield _stream_row(
                count, streams(gateway, behind, count, 20 if quick else 100, 50, 1.0 if count < 1000 else 2)
            )


def rates(quick: bool, say: Say) -> Iterator[Row]:
    """256 streams, so many tokens a second in each."""
    with _running(thinkgate()) as (gateway, behind):
        for rate in (5, 10, 20, 50, 100):
            say(f"{rate} tokens/s")
            chunks = max(10, rate * (2 if quick else 6))
            yield _stream_row(rate, streams(gateway, behind, 256, chunks, 1000 // rate))


def soak(quick: bool, say: Say, minutes: float = 10.0) -> Iterator[Row]:
    """256 streams for ten minutes, one after the other in each place, and the gateway's memory every five seconds."""
    seconds = 20.0 if quick else minutes * 60
    with _running(thinkgate()) as (gateway, behind):
        behind.control(delay_ms=50)
        done = threading.Event()
        seen: list[Row] = []
        began = time.monotonic()

        def look() -> None:
            while not done.wait(5.0):
                at = time.monotonic() - began
                seen.append({"at": round(at), "gw_rss_mb": round(rss_mb(gateway.pid or 0), 1)})
                say(f"{at:.0f} s of {seconds:.0f}")

        watching = threading.Thread(target=look)
        watching.start()
        options = ("-s", 256, "-n", 100, "-r", MEGA, "--ramp", 1.0, "--max-seconds", seconds, "--grace", 15)
        try:
            run = load("stream", gateway.url, gateway.model, gateway.pid, *options)
        finally:
            done.set()
            watching.join()
        yield from seen
        yield _stream_row(round(seconds), run)


def growth(quick: bool, say: Say) -> Iterator[Row]:
    """Requests where the gateway has much: routes, keys, sessions, decisions. Each is measured in turns with the plain
    gateway, three times; `ratio` is its CPU a request by the plain one's."""
    rows = MEGA // 10 if quick else 10 * MEGA
    cases: tuple[tuple[str, Gateway, tuple[object, ...]], ...] = (
        ("plain again", thinkgate(), ()),
        ("1,000 routes, asked in turn", thinkgate(routes=1_000), ("--model", "r#######", "--number", 1_000)),
        ("10,000 keys, one used", thinkgate(keys=10_000), ()),
        ("500 keys, used in turn", thinkgate(keys=500), ("--key", "key-#######", "--number", 500)),
        ("10,000 keys, used in turn", thinkgate(keys=10_000), ("--key", "key-#######", "--number", 10_000)),
        ("100,000 sessions", thinkgate(), ("--body", 'session_id="s#######"', "--number", 100_000)),
        (f"{rows:,} logged decisions", thinkgate(), ()),
    )
    seconds, turns = (1.0, 1) if quick else (3.0, 3)
    with (
        upstream() as behind,
        tempfile.TemporaryDirectory(prefix="thinkgate-bench-") as directory,
        started(thinkgate(), behind, Path(directory) / "plain") as plain,
    ):
        requests(plain, behind, 8, 1.0)
        for place, (name, gateway, options) in enumerate(cases):
            say(name)
            home = Path(directory) / str(place)
            home.mkdir()
            if "decisions" in name:
                write_decisions(home / "decisions.db", rows)
            with started(gateway, behind, home) as filled:
                # As many requests as it takes to have seen them all.
                requests(filled, behind, 16, 25.0 if "sessions" in name and not quick else 2.0, *options)
                ours, others = [], []
                for _ in range(turns):
                    ours.append(requests(filled, behind, 8, seconds, *options))
                    others.append(requests(plain, behind, 8, seconds))
            mine, theirs = (min(r["gw_cpu_us_per_req"] for r in runs) for runs in (ours, others))
            yield {"what": name, **_request_row(place, ours[-1]), "cpu_us": mine, "ratio": mine / theirs}


def write_decisions(path: Path, rows: int) -> None:
    """So many decisions of the last days in a log, made by SQL: some 30 s and 290 MB a million."""
    store = SqliteStore(str(path))
    store.write([record(tenant="bench", time=time.time() - 86_400)])
    store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        columns = [row[1] for row in connection.execute("PRAGMA table_info(decisions)") if row[1] not in ("seq", "id")]
        names = ", ".join(columns)
        sql = COPIES.replace("NAMES", names)
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute("BEGIN")
        for first in range(1, rows, MEGA):
            connection.execute(sql, (first, min(rows - 1, first + MEGA - 1)))
        connection.execute("COMMIT")


STUDIES: dict[str, Callable[[bool, Say], Iterator[Row]]] = {
    "workers": workers,
    "bodies": bodies,
    "history": history,
    "streams": concurrent,
    "rates": rates,
    "soak": soak,
    "growth": growth,
}
