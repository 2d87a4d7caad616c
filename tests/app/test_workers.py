"""Several workers on one port, as real processes: spread, one set of metrics, replacement, reload, peaceful end."""

import asyncio
import os
import re
import signal
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

from tests.app.conftest import NO_TLS
from tests.app.scripted_upstream import ScriptedUpstream, stream, whole
from tests.app.test_server import ask, command, serving, written

SERVER = {"host": "127.0.0.1", "port": 0, "listeners": 2, "workers": 2, "drain_timeout_s": 5}
BODY = {"model": "auto", "messages": [{"role": "user", "content": "x"}]}


def workers_of(process) -> list[int]:
    """Ids of the supervisor's children."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def alive(pid: int) -> bool:
    """Does the process run? One that has ended and was not waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def becomes(true, limit_s=60.0) -> bool:
    """Whether `true()`, perhaps a coroutine, becomes true."""
    for _ in range(round(limit_s / 0.05)):
        found = true()
        if await found if asyncio.iscoroutine(found) else found:
            return True
        await asyncio.sleep(0.05)
    return False


def connections_of(pid: int) -> int:
    """How many sockets a process holds."""
    links = 0
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            links += os.readlink(f"/proc/{pid}/fd/{name}").startswith("socket:")
        except OSError:
            pass
    return links


async def scraped(port: int) -> dict[str, float]:
    """All samples of /metrics, from whichever worker a new connection comes to."""
    async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=60) as http:
        text = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    return {m[1]: float(m[2]) for m in re.finditer(r"^(\w+(?:\{.*\})?) (\S+)$", text, re.M)}


async def chat(port: int, times: int) -> list[int]:
    """Statuses of requests on connections of their own, one after the other."""
    statuses = []
    for _ in range(times):
        async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=60) as http:
            statuses.append((await http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=BODY)).status_code)
    return statuses


def answered(samples: dict[str, float]) -> float:
    return sum(value for name, value in samples.items() if name.startswith("thinkgate_requests_total"))


@pytest.fixture
async def upstream():
    made = ScriptedUpstream()
    await made.start()
    yield made
    await made.stop()


@asynccontextmanager
async def two(tmp_path, upstream, **changes):
    async with serving(written(tmp_path, upstream.url, server={**SERVER, **changes})) as (process, port):
        yield process, port


async def test_one_worker_is_the_process_itself(tmp_path, upstream):
    async with two(tmp_path, upstream, workers=1) as (process, port):
        assert workers_of(process) == []
        assert await chat(port, 1) == [200]
        assert "thinkgate_workers" not in await scraped(port)


async def test_connections_are_spread_and_every_worker_tells_the_same_totals(tmp_path, upstream):
    async with two(tmp_path, upstream) as (process, port):
        first, second = workers_of(process)
        idle = connections_of(first), connections_of(second)
        kept = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]  # all in one: once in 2^59

        def taken():
            return connections_of(first) - idle[0], connections_of(second) - idle[1]

        assert await becomes(lambda: sum(taken()) == 60)
        assert min(taken()) > 0
        for _, writer in kept:
            writer.close()
        assert await chat(port, 20) == [200] * 20
        for n in range(20):  # each a connection of its own, and so to either worker
            samples = await scraped(port)
            assert answered(samples) == 20, f"scrape {n}"
            assert samples["thinkgate_workers"] == 2
            assert samples['thinkgate_backend_up{pool="fast",replica="0"}'] == 1
            assert samples['thinkgate_threshold{profile="default"}'] == 0.5


async def test_decision_ids_of_workers_differ(tmp_path, upstream):
    ids = set()
    async with two(tmp_path, upstream) as (_, port):
        for _ in range(40):
            async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=60) as http:
                answer = await http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=BODY)
            ids.add(answer.headers["x-thinkgate-decision-id"][-16:])
    assert len(ids) == 40


async def test_a_killed_worker_is_replaced_and_what_it_counted_stays(tmp_path, upstream):
    async with two(tmp_path, upstream) as (process, port):
        before = workers_of(process)
        assert await chat(port, 20) == [200] * 20
        assert answered(await scraped(port)) == 20  # everybody has reported
        os.kill(before[0], signal.SIGKILL)
        assert await becomes(lambda: len(workers_of(process)) == 2 and before[0] not in workers_of(process))
        assert before[1] in workers_of(process)
        # New connections never fail: those of the dead one's sockets wait for the next.
        assert await chat(port, 20) == [200] * 20

        async def as_before():
            samples = await scraped(port)
            return answered(samples) == 40 and samples["thinkgate_workers"] == 2

        assert await becomes(as_before)
        assert (await scraped(port))["thinkgate_workers_replaced_total"] == 1
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert "was ended by SIGKILL" in (await process.stderr.read()).decode()


async def test_under_load_a_killed_worker_costs_only_what_it_was_answering(tmp_path, upstream):
    async with two(tmp_path, upstream) as (process, port):
        victim, broken, done = workers_of(process)[0], 0, asyncio.Event()

        async def client():
            nonlocal broken
            while not done.is_set():
                try:
                    assert await chat(port, 1) == [200]
                except (httpx.RemoteProtocolError, httpx.ReadError, httpx.ConnectError):
                    broken += 1

        clients = [asyncio.create_task(client()) for _ in range(8)]
        assert await becomes(lambda: len(upstream.requests) >= 20)
        os.kill(victim, signal.SIGKILL)
        assert await becomes(lambda: victim not in workers_of(process) and len(workers_of(process)) == 2)
        seen = len(upstream.requests)
        assert await becomes(lambda: len(upstream.requests) >= seen + 40)
        done.set()
        await asyncio.gather(*clients)
        assert broken <= 8, "at most what each client had open"
        assert await chat(port, 10) == [200] * 10


async def test_a_worker_that_is_asked_to_end_finishes_its_streams_while_another_takes_over(tmp_path, upstream):
    upstream.default = stream("chat_instruct_stream_usage", pause_s=0.1, keep=False)
    async with two(tmp_path, upstream, drain_timeout_s=60) as (process, port):
        before = workers_of(process)
        reader, writer = await ask(port, b"true")
        await asyncio.wait_for(reader.readuntil(b"\n\n"), 60)
        for pid in before:  # one of them has the stream
            os.kill(pid, signal.SIGTERM)
        assert await becomes(lambda: len(set(workers_of(process)) - set(before)) == 2)
        assert (await asyncio.wait_for(reader.read(), 60)).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        writer.close()
        assert await becomes(lambda: not any(map(alive, before)))
        upstream.default = whole()
        assert await chat(port, 5) == [200] * 5


async def test_sighup_and_a_changed_file_reload_all_workers_and_a_bad_file_none(tmp_path, upstream):
    file = written(tmp_path, upstream.url, server=SERVER)
    async with serving(file) as (process, port):

        async def modes():
            found = set()
            for _ in range(16):  # all of them to one worker: once in 2^15
                async with httpx.AsyncClient(verify=NO_TLS, trust_env=False, timeout=60) as http:
                    answer = await http.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=BODY)
                found.add(answer.headers["x-thinkgate-mode"])
            return found

        async def all_are(mode):
            return await modes() == {mode}

        assert await all_are("instruct")
        written(tmp_path, upstream.url, server=SERVER, judge={"kind": "constant", "score": 1.0})
        process.send_signal(signal.SIGHUP)
        assert await becomes(lambda: all_are("thinking"))
        file.write_text("pools: {")
        process.send_signal(signal.SIGHUP)
        await asyncio.sleep(3)
        assert await all_are("thinking")
        victim = workers_of(process)[0]
        os.kill(victim, signal.SIGKILL)
        assert await becomes(lambda: victim not in workers_of(process) and len(workers_of(process)) == 2)
        assert await all_are("thinking"), "the one that comes has the configuration in force, not the bad file"
        written(tmp_path, upstream.url, server=SERVER)
        assert await becomes(lambda: all_are("instruct")), "the file's change is enough"
        process.send_signal(signal.SIGTERM)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        told = (await process.stderr.read()).decode()
        assert "refused, the old one stays in force" in told
        assert "Traceback" not in told


@pytest.mark.parametrize("everybody", [False, True], ids=["supervisor", "whole group"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_lets_all_workers_finish_and_ends_with_0(tmp_path, upstream, number, everybody):
    """A service manager may tell the supervisor alone, or every process of the group."""
    upstream.default = stream("chat_instruct_stream_usage", pause_s=0.06, keep=False)
    async with two(tmp_path, upstream) as (process, port):
        workers = workers_of(process)
        streams = [await ask(port, b"true") for _ in range(8)]
        for reader, _ in streams:
            await asyncio.wait_for(reader.readuntil(b"\n\n"), 60)
        process.send_signal(number)
        for pid in workers if everybody else ():
            os.kill(pid, number)
        for reader, writer in streams:
            assert (await asyncio.wait_for(reader.read(), 60)).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            writer.close()
        assert await asyncio.wait_for(process.wait(), 60) == 0
        assert not any(map(alive, workers))
        with pytest.raises(OSError, match=r".*"):
            await asyncio.open_connection("127.0.0.1", port)


async def test_a_second_signal_ends_all_at_once(tmp_path, upstream):
    upstream.default = stream("chat_instruct_stream_usage", pause_s=5, keep=False)
    async with two(tmp_path, upstream, drain_timeout_s=600) as (process, port):
        workers = workers_of(process)
        reader, writer = await ask(port, b"true")
        await asyncio.wait_for(reader.readuntil(b"\n\n"), 60)
        for _ in range(2):
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
        assert await asyncio.wait_for(process.wait(), 60) == 0
        writer.close()
        assert not any(map(alive, workers))


async def test_workers_end_when_their_supervisor_is_killed(tmp_path, upstream):
    async with two(tmp_path, upstream) as (process, _):
        workers = workers_of(process)
        assert len(workers) == 2
        process.kill()
        await process.wait()
        assert await becomes(lambda: not any(map(alive, workers)))


async def test_what_no_worker_can_start_with_ends_the_gateway_with_2(tmp_path, upstream):
    file = written(tmp_path, upstream.url, server=SERVER, judge={"kind": "linear", "path": "/nowhere"})
    process = await command("serve", "--config", file)
    printed, told = await asyncio.wait_for(process.communicate(), 90)
    assert process.returncode == 2
    assert b"judge: cannot be loaded" in told
    assert b"Traceback" not in told
    assert b"ready" not in printed


async def test_a_worker_that_dies_again_and_again_leaves_the_others_serving(tmp_path, upstream):
    async with two(tmp_path, upstream) as (process, port):
        stays = workers_of(process)[1]
        for _ in range(3):
            found = [pid for pid in workers_of(process) if pid != stays]
            for pid in found:
                os.kill(pid, signal.SIGKILL)
            assert await becomes(lambda found=found: not set(found) & set(workers_of(process)))
            assert await becomes(lambda: len(workers_of(process)) == 2)
        assert await chat(port, 10) == [200] * 10
        assert stays in workers_of(process)
