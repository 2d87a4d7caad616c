"""The process: it says when it is ready, finishes its streams after SIGTERM, and ends with a status that tells."""

import asyncio
import os
import re
import signal
import sys
from contextlib import asynccontextmanager

import pytest
import yaml

from tests.app.scripted_upstream import ScriptedUpstream, stream

CONFIG = {
    "server": {"host": "127.0.0.1", "port": 0, "listeners": 2, "drain_timeout_s": 5},
    "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
    "judge": {"kind": "constant", "score": 0.0},
}


def written(tmp_path, upstream, **changes):
    pools = {"fast": {"model": "a", "replicas": [upstream]}, "deep": {"model": "b", "replicas": [upstream]}}
    file = tmp_path / "thinkgate.yaml"
    file.write_text(yaml.safe_dump({**CONFIG, "pools": pools, **changes}))
    return file


async def command(*arguments):
    """A `thinkgate` process; the environment has no key of this test in it."""
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "app", *map(str, arguments)),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )


@asynccontextmanager
async def serving(file):
    process = await command("serve", "--config", file)
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 90)).decode()
        port = re.search(r"ready on http://127\.0\.0\.1:(\d+)", line)
        assert port, line + (await process.stderr.read()).decode()
        yield process, int(port[1])
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def ask(port, stream_it):
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    body = b'{"model":"auto","stream":%b,"messages":[{"role":"user","content":"x"}]}' % stream_it
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % len(body)
    writer.write(head + body)
    return reader, writer


async def test_sigterm_lets_an_open_stream_finish_and_then_ends_with_0(tmp_path):
    upstream = ScriptedUpstream(stream("chat_instruct_stream_usage", pause_s=0.06, keep=False))
    await upstream.start()
    try:
        async with serving(written(tmp_path, upstream.url)) as (process, port):
            reader, writer = await ask(port, b"true")
            await asyncio.wait_for(reader.readuntil(b"\n\n"), 60)
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.2)
            with pytest.raises(OSError, match=r".*"):
                await asyncio.open_connection("127.0.0.1", port)
            rest = await asyncio.wait_for(reader.read(), 60)
            assert b'"finish_reason":"' in rest
            assert rest.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            writer.close()
            assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        await upstream.stop()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_an_idle_gateway_ends_at_once_with_0(tmp_path, number):
    async with serving(written(tmp_path, "http://127.0.0.1:1")) as (process, _):
        process.send_signal(number)
        assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_a_port_that_is_taken_is_told_in_words(tmp_path):
    taken = await asyncio.start_server(lambda r, w: w.close(), "127.0.0.1", 0)
    port = taken.sockets[0].getsockname()[1]
    process = await command("serve", "--config", written(tmp_path, "http://127.0.0.1:1"), "--port", port)
    _, told = await asyncio.wait_for(process.communicate(), 90)
    taken.close()
    await taken.wait_closed()
    assert process.returncode == 2
    assert f"server.port: 127.0.0.1:{port} cannot be had" in told.decode()
    assert "Traceback" not in told.decode()


async def test_sighup_and_a_changed_file_reload_and_a_bad_file_does_not(tmp_path):
    upstream = ScriptedUpstream()
    await upstream.start()
    try:
        file = written(tmp_path, upstream.url)
        async with serving(file) as (process, port):

            async def mode():
                reader, writer = await ask(port, b"false")
                head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
                writer.close()
                return re.search(rb"x-thinkgate-mode: (\w+)", head)[1].decode()

            async def becomes(wanted):
                for _ in range(600):
                    if await mode() == wanted:
                        return True
                    await asyncio.sleep(0.1)
                return False

            assert await mode() == "instruct"
            written(tmp_path, upstream.url, judge={"kind": "constant", "score": 1.0})
            process.send_signal(signal.SIGHUP)
            assert await becomes("thinking")
            file.write_text("pools: {")
            await asyncio.sleep(3)
            assert await mode() == "thinking"
            written(tmp_path, upstream.url)
            assert await becomes("instruct"), "the file's change is enough"
            process.send_signal(signal.SIGTERM)
            assert await asyncio.wait_for(process.wait(), 60) == 0
            told = (await process.stderr.read()).decode()
            assert "refused, the old one stays in force" in told
            assert "Traceback" not in told
    finally:
        await upstream.stop()


async def test_a_gateway_that_listens_to_others_never_loses_its_keys_by_a_reload(tmp_path):
    file = written(tmp_path, "http://127.0.0.1:1", auth={"keys": [{"key": "k"}]}, server={"host": "0.0.0.0", "port": 0})
    process = await command("serve", "--config", file)
    try:
        line = (await asyncio.wait_for(process.stdout.readline(), 90)).decode()
        port = int(re.search(r":(\d+) ", line)[1])
        written(tmp_path, "http://127.0.0.1:1", server={"host": "127.0.0.1", "port": 0})
        process.send_signal(signal.SIGHUP)
        await asyncio.sleep(2)
        reader, writer = await ask(port, b"false")
        assert b" 401 " in await asyncio.wait_for(reader.readline(), 60)
        writer.close()
    finally:
        process.terminate()
        _, told = await process.communicate()
    assert b"open to others" in told
    assert process.returncode == 0


async def test_a_drain_is_announced_before_it_begins(tmp_path):
    upstream = ScriptedUpstream()
    await upstream.start()
    server = {"host": "127.0.0.1", "port": 0, "drain_delay_s": 2}
    try:
        async with serving(written(tmp_path, upstream.url, server=server)) as (process, port):

            async def ready():
                reader, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET /health/ready HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                answer = await asyncio.wait_for(reader.read(), 60)
                writer.close()
                return answer

            assert b" 200 " in (await ready()).split(b"\r\n")[0]
            process.send_signal(signal.SIGTERM)
            await asyncio.sleep(0.5)
            answer = await ready()
            assert b" 503 " in answer.split(b"\r\n")[0]
            assert b'"stopping"' in answer
            reader, writer = await ask(port, b"false")
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 60)
            assert b" 200 " in head.split(b"\r\n")[0], "it still answers"
            assert b"connection: close" in head.lower()
            writer.close()
            assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        await upstream.stop()


@pytest.mark.parametrize("streaming", [b"true", b"false"])
async def test_what_takes_longer_than_the_drain_ends_with_an_error_and_the_gateway_with_0(tmp_path, streaming):
    async def endless(turn):
        if streaming == b"true":
            await turn.stream_head()
            await turn.chunk(b'data: {"choices":[{"index":0,"delta":{"content":"x"},"finish_reason":null}]}\n\n')
        await turn.wait_gone(60)

    upstream = ScriptedUpstream(endless)
    await upstream.start()
    server = {"host": "127.0.0.1", "port": 0, "drain_timeout_s": 1}
    try:
        async with serving(written(tmp_path, upstream.url, server=server)) as (process, port):
            reader, writer = await ask(port, streaming)
            half, half_writer = await asyncio.open_connection("127.0.0.1", port)
            half_writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            while not upstream.requests:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            process.send_signal(signal.SIGTERM)
            answer = await asyncio.wait_for(reader.read(), 60)
            assert b'"gateway_stopping"' in answer
            if streaming == b"true":
                assert answer.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
            else:
                assert b" 503 " in answer.split(b"\r\n")[0]
            assert b" 503 " in await asyncio.wait_for(half.readline(), 60)
            writer.close()
            half_writer.close()
            assert await asyncio.wait_for(process.wait(), 60) == 0
    finally:
        await upstream.stop()


async def test_a_second_signal_ends_it_at_once(tmp_path):
    upstream = ScriptedUpstream(stream("chat_instruct_stream_usage", pause_s=5, keep=False))
    await upstream.start()
    try:
        async with serving(written(tmp_path, upstream.url)) as (process, port):
            reader, writer = await ask(port, b"true")
            await asyncio.wait_for(reader.readuntil(b"\n\n"), 60)
            for _ in range(2):
                process.send_signal(signal.SIGTERM)
                await asyncio.sleep(0.5)
            assert await asyncio.wait_for(process.wait(), 60) == 0
            writer.close()
    finally:
        await upstream.stop()
