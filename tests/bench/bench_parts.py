"""What the parts of a request's way cost, each alone and in process: judge, ladder, rewrite, relay, head, all together.

    make bench-parts        or: pytest -o python_files='bench_*.py' tests/bench

No test: the figures depend on the machine. Compare two commits with `--benchmark-save` and `--benchmark-compare`.
"""

import asyncio
import json

import pytest
import uvicorn
from uvicorn.server import ServerState

from app.config_file import parse_settings
from app.dataplane.chat_request import ChatRequest
from app.dataplane.chat_stream import ChatStream
from app.dataplane.plan import Caller, Plan
from app.gateway import create_app
from app.pools.connection import Connection
from app.server.known_requests import KnownRequests
from app.server.lane import protocol_for
from router.conversation import read_conversation
from router.judges import LinearJudge
from router.mode import Mode
from tests.bench.load import WORDS
from tests.bench.upstream import Model

PROMPT = (" ".join(WORDS) * 4)[:400]
MESSAGES = [{"role": "system", "content": "You are a helpful assistant."}, {"role": "user", "content": PROMPT}]
BODY = json.dumps({"model": "auto", "messages": MESSAGES, "max_tokens": 16}).encode()
STREAM_BODY = json.dumps({"model": "auto", "messages": MESSAGES, "max_tokens": 16, "stream": True}).encode()
HEAD = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: gateway:8080\r\nContent-Type: application/json\r\nAccept: */*\r\n"
    b"Authorization: Bearer bench-key\r\nUser-Agent: bench\r\nContent-Length: %d\r\n\r\n"
)
SETTINGS = {
    "auth": {"keys": [{"key": "bench-key", "tenant": "bench"}]},
    "pools": {
        "fast": {"model": "fake-model", "replicas": ["http://127.0.0.1:1"]},
        "deep": {"model": "fake-model-b", "replicas": ["http://127.0.0.1:2"]},
    },
    "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
}
CALLER = Caller(tenant="bench")
JUDGE = LinearJudge.load()
FAKE = Model("fake-model")
CHUNKS = 100
OPENING = json.dumps({"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "fake-model"})[:-1].encode()


def chunk(delta: bytes, finish: bytes = b"null") -> bytes:
    """An event as vLLM writes it."""
    compact = OPENING.replace(b", ", b",").replace(b": ", b":")
    return b'data: %b,"choices":[{"index":0,"delta":%b,"finish_reason":%b}]}\n\n' % (compact, delta, finish)


def events() -> list[bytes]:
    """One stream, an event a read."""
    words = [chunk(b'{"content":" word%03d"}' % i) for i in range(CHUNKS)]
    return [chunk(b'{"role":"assistant","content":""}'), *words, chunk(b"{}", b'"stop"'), b"data: [DONE]\n\n"]


class Wire:
    """A transport that keeps the last thing written, and the connection's other end."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> None:
        self.written = data

    def get_extra_info(self, name: str, default: object = None) -> object:
        return ("127.0.0.1", 1) if name in ("peername", "sockname") else default

    def is_closing(self) -> bool:
        return False

    def abort(self) -> None: ...

    def close(self) -> None: ...

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


def gateway():
    """The gateway by the settings above; it listens nowhere."""
    return create_app(parse_settings(SETTINGS, {}), judge=JUDGE)


@pytest.mark.parametrize("tokens", [30, 200, 8000])
def bench_judge(benchmark, tokens):
    conversation = read_conversation([{"role": "user", "content": (PROMPT * 80)[: tokens * 4]}])
    assert 0 <= benchmark(JUDGE.score, conversation).score <= 1


def bench_conversation(benchmark):
    """Reading the messages for the judge."""
    assert benchmark(read_conversation, MESSAGES)


def bench_parse(benchmark):
    """The body, field by field."""
    assert benchmark(ChatRequest.parse, BODY).model == "auto"


def bench_ladder(benchmark):
    """Parsed request to plan where a field settles it: every rung above the judge, the choice of pool, the rewrite."""
    planner = gateway().planner
    settled = json.dumps({**json.loads(BODY), "chat_template_kwargs": {"enable_thinking": False}}).encode()
    request = ChatRequest.parse(settled)
    assert benchmark(planner.plan, request, {}, CALLER).routing.mode is Mode.INSTRUCT


def bench_plan(benchmark):
    """Parsed request to plan: the whole ladder, the judge, the choice of pool, the rewrite."""
    planner = gateway().planner
    request = ChatRequest.parse(BODY)
    assert isinstance(benchmark(planner.plan, request, {}, CALLER), Plan)


def bench_rewrite(benchmark):
    """The backend's fields out of the client's."""
    planner = gateway().planner
    request = ChatRequest.parse(BODY)
    plan = planner.plan(request, {}, CALLER)
    assert isinstance(plan, Plan)
    family = planner._families["qwen3-2507"]
    model = plan.pool.model_json if hasattr(plan.pool, "model_json") else request.fields["model"]
    assert benchmark(request.for_backend, family, Mode.INSTRUCT, model, None)


def bench_relay(benchmark):
    """100 chunks, each in a read of its own, as they come from vLLM; divide by 100."""
    stream = events()

    def relay() -> ChatStream:
        made = ChatStream(routing=b'{"mode":"instruct"}', reasoning="both", show_usage=False)
        for event in stream:
            made.feed(event)
        return made

    assert benchmark(relay).done


def bench_request_head(benchmark):
    """Bytes of a whole request on a kept connection to its known head."""
    known = KnownRequests()
    data = HEAD % len(BODY) + BODY
    key, _, _ = known.find(data)
    assert key
    known.keep(key, object())
    assert benchmark(known.find, data)[1] is not None


@pytest.mark.parametrize("streamed", [False, True], ids=["whole", "100 chunks"])
async def bench_request(benchmark, streamed):
    """From the client's bytes to the answer's last byte, all features of the default configuration with keys but the
    decision log, both sockets replaced: what a request costs in Python."""
    app = gateway()
    config = uvicorn.Config(app, http=protocol_for(app), ws="none", log_config=None, access_log=False)
    config.load()
    client, backend = Wire(), Wire()
    protocol = config.http_protocol_class(
        config=config, server_state=ServerState(), app_state={}, _loop=asyncio.get_running_loop()
    )
    protocol.connection_made(client)
    connection = Connection()
    connection.connection_made(backend)
    for pool in app.pools.values():
        for replica in pool.replicas:
            replica.checked(True)
            replica.release(connection)
            replica.idle_connection = lambda: connection
            replica.release = lambda _: None
    body = STREAM_BODY if streamed else BODY
    request = HEAD % len(body) + body
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    frames = [b"%x\r\n%b\r\n" % (len(event), event) for event in events()]
    frames[0] = head + frames[0]
    frames[-1] += b"0\r\n\r\n"
    answer = frames if streamed else [FAKE.answer]

    def whole() -> bytes:
        protocol.data_received(request)
        for data in answer:
            connection.data_received(data)
        return client.written

    last = benchmark(whole)
    assert last.endswith(b"0\r\n\r\n") if streamed else b"x-thinkgate-decision-id" in last
    for pool in app.pools.values():
        assert pool.in_flight == 0
