"""Requests that nobody should send, to every endpoint of the API's own description: never a fault of the gateway's.

The gateway is the real one on a socket, in front of a backend that answers at once. Each endpoint gets 30 requests, the
same ones every time; `make fuzz` sends 1,000 (`THINKGATE_EXAMPLES` is the number).
"""

import asyncio
import json
import os
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.config_file import parse_settings
from app.gateway import create_app
from router.judges import ConstantJudge
from tests.app.conftest import Start
from tests.app.scripted_upstream import RECORDED, Turn, as_asked
from tests.bad_bodies import bodies

pytestmark = pytest.mark.timeout(900)
EXAMPLES = int(os.environ.get("THINKGATE_EXAMPLES", "30"))
KEY = "fuzz-key"
MODELS = ("auto", "auto-thinking", "auto-instruct", "hybrid", "own", "instruct", "nope")
ROUTES = {
    "auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"},
    "hybrid": {"family": "qwen3-hybrid", "pool": "deep"},
    "own": {"family": "kat-v1", "pool": "fast"},
}
_POOL = {"model": "m", "replicas": ["http://127.0.0.1:1"]}
_DESCRIBED = create_app(
    parse_settings({"pools": {"p": _POOL}, "routes": {"r": {"family": "qwen3-hybrid", "pool": "p"}}}, {}),
    judge=ConstantJudge(),
).api.openapi()["paths"]
ENDPOINTS = [(method.upper(), path) for path, item in _DESCRIBED.items() for method in item]
_TEXTS = st.one_of(
    st.text(max_size=12), st.sampled_from(["", "0", "-1", "1e9", "9" * 30, "auto", "\x00", "%", "dec_1"])
)
_NAMES = st.one_of(_TEXTS, st.sampled_from(["limit", "before", "mode", "reason", "api"]))
# What no HTTP client can send is not HTTP, and is told so before any endpoint is known.
_VALUES = st.binary(max_size=24).map(lambda value: value.translate(None, bytes([*range(32), 127])).strip())
_HEADERS = st.dictionaries(
    st.sampled_from(["x-thinkgate-mode", "x-thinkgate-profile", "x-session-id", "x-session-affinity", "session-id",
                     "x-request-id", "accept", "accept-encoding", "anthropic-version", "anthropic-beta", "content-type",
                     "cookie", "x-api-key", "expect", "te", "traceparent"]),
    st.one_of(_VALUES, st.sampled_from([b"auto", b"thinking", b"instruct", b"application/json", b"gzip"])),
    max_size=3,
)  # fmt: skip


async def at_once(turn: Turn) -> bool:
    """What the protocol's recordings say; of the other endpoints an empty object."""
    if turn.request.path in RECORDED:
        return await as_asked(turn)
    await turn.answer(200, b"{}")
    return True


@st.composite
def requests(draw: st.DrawFn, method: str, path: str) -> dict[str, Any]:
    """An httpx request's arguments."""
    headers = dict(draw(_HEADERS))
    if draw(st.integers(0, 9)):
        headers["authorization"] = f"Bearer {KEY}".encode()
    url = "/".join(_quoted(draw(_TEXTS)) if part.startswith("{") else part for part in path.split("/"))
    query = draw(st.dictionaries(_NAMES, _TEXTS, max_size=3)) if draw(st.booleans()) else {}
    made: dict[str, Any] = {"method": method, "url": url, "params": query, "headers": headers}
    if method == "POST":
        made["content"] = draw(bodies(path, MODELS))
    return made


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode("utf-8", "surrogatepass")) or "x"


def sound(path: str, headers: dict[str, bytes], answer: httpx.Response) -> None:
    """No fault, and every error in the shape of the API that was called."""
    if path == "/health/ready":
        return
    assert answer.status_code < 500, answer.text
    if answer.status_code < 400:
        return
    data = answer.json()
    if path.startswith("/v1/messages") or (path.startswith("/v1/models") and "anthropic-version" in headers):
        assert set(data) == {"type", "error"}
        assert set(data["error"]) == {"type", "message"}
    else:
        assert set(data) == {"error"}
        assert set(data["error"]) == {"message", "type", "param", "code"}


def fuzz(url: str, method: str, path: str) -> set[int]:
    """The statuses seen; sends EXAMPLES requests, one after the other."""
    seen: set[int] = set()
    with httpx.Client(base_url=url, timeout=60, trust_env=False) as http:

        @settings(max_examples=EXAMPLES, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
        @given(requests(method, path))
        def check(made: dict[str, Any]) -> None:
            answer = http.request(**made)
            seen.add(answer.status_code)
            sound(path, made["headers"], answer)

        check()
    return seen


@pytest.mark.parametrize(("method", "path"), ENDPOINTS, ids=lambda value: value)
async def test_no_request_is_answered_with_a_fault(
    start: Start, tmp_path_factory: pytest.TempPathFactory, method: str, path: str
) -> None:
    log = tmp_path_factory.mktemp("decisions") / "decisions.db"
    gateway = await start(
        auth={"keys": [{"key": KEY, "profiles": ["*"]}]},
        routes=ROUTES,
        profiles={"default": {}, "rescuing": {"rescue": True}},
        decisions={"url": f"sqlite:///{log}"},
    )
    gateway.fast.default = gateway.deep.default = at_once
    ask: Callable[[str, str, str], set[int]] = fuzz
    seen = await asyncio.to_thread(ask, gateway.url, method, path)
    if method == "POST" or path.startswith("/v1/"):
        assert 400 <= max(seen) < 500, "nothing was wrong enough"
    alive = await gateway.http.get("/version", headers={"authorization": f"Bearer {KEY}"})
    assert alive.status_code == 200
    await gateway.idle()


def test_every_endpoint_is_there() -> None:
    assert len(ENDPOINTS) > 25
    assert json.dumps(_DESCRIBED)
