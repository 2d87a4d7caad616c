"""The gateway as a Ray Serve ingress on a local cluster, asked over the wire; runs in the Ray environment, prints JSON.

    unshare -n … .venv-ray/bin/python tests/deploy/ray_session.py FOLDER

Says when each piece of a stream came, and how many streams the backend sees end too early after a client has left.
"""

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
BACKEND, SERVE = 9001, 9100
BODY = {"model": "auto", "stream": True, "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}]}


async def get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    return answer.partition(b"\r\n\r\n")[2]


async def ask(**fields: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", SERVE)
    body = json.dumps({**BODY, **fields}).encode()
    head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: {len(body)}\r\n\r\n"
    writer.write(head.encode() + body)
    return reader, writer


async def streamed() -> dict[str, Any]:
    """The times at which pieces of a stream came, in seconds, and its text."""
    reader, writer = await ask()
    came, data, started = [], b"", time.monotonic()
    while b"[DONE]" not in data:
        piece = await asyncio.wait_for(reader.read(65536), 30)
        if not piece:
            break
        came.append(round(time.monotonic() - started, 3))
        data += piece
    writer.close()
    return {"came": came, "text": data.decode()}


async def left() -> dict[str, Any]:
    """How long after a client has left the backend sees its stream end."""
    before = json.loads(await get(BACKEND, "/__stats"))
    reader, writer = await ask(max_tokens=1000)
    await asyncio.wait_for(reader.readuntil(b" w000003"), 30)
    writer.transport.abort()
    started = time.monotonic()
    while time.monotonic() - started < 20:
        if json.loads(await get(BACKEND, "/__stats"))["running"] == 0:
            return {"seconds": round(time.monotonic() - started, 3), "before": before["running"]}
        await asyncio.sleep(0.02)
    return {"seconds": None, "before": before["running"]}


async def session() -> dict[str, Any]:
    whole_reader, whole_writer = await ask(stream=False)
    head = await asyncio.wait_for(whole_reader.readuntil(b"\r\n\r\n"), 30)
    whole_writer.close()
    return {"head": head.decode(), "stream": await streamed(), "left": await left()}


def main(folder: Path) -> None:
    os.environ.update(HOME=str(folder), RAY_USAGE_STATS_ENABLED="0", THINKGATE_CONFIG=str(folder / "gateway.yaml"))
    os.environ["PYTHONPATH"] = str(ROOT)  # of the replicas too
    sys.path.insert(0, str(ROOT))
    urls = [f"http://127.0.0.1:{BACKEND}"]
    pools = {name: {"model": "fake-model", "replicas": urls} for name in ("fast", "deep")}
    settings = {
        "pools": pools,
        "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
    }
    (folder / "gateway.yaml").write_text(json.dumps(settings), "utf-8")
    import ray
    from ray import serve

    from deploy.ray.ingress import app

    ray.init(
        num_cpus=2,
        include_dashboard=False,
        object_store_memory=100 * 2**20,
        log_to_driver=False,
        _node_ip_address="127.0.0.1",
        _temp_dir=str(folder / "ray"),
    )
    for attempt in range(3):  # its proxy has a minute to come up, whatever else the machine does
        try:
            serve.start(http_options={"host": "127.0.0.1", "port": SERVE})
            break
        except ray.exceptions.RayError:
            if attempt == 2:
                raise
    serve.run(app, name="thinkgate", route_prefix="/")
    found = asyncio.run(session())
    serve.shutdown()
    ray.shutdown()
    print(json.dumps(found))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
