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
