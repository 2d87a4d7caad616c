"""Shadows through the gateway: who is shadowed, what is kept of it, and that nobody else notices."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from app.config_file import ConfigError, parse_settings
from app.gateway import create_app
from router.judges import ConstantJudge
from tests.app.conftest import Running, Start, soon
from tests.app.scripted_upstream import Script, Turn, error, whole

LIMIT_S = 30.0


def says(text: str, tokens: int) -> Script:
    """An answer in one piece."""

    async def script(turn: Turn) -> bool:
        body = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 1, "completion_tokens": tokens, "total_tokens": tokens + 1},
        }
        await turn.answer(200, json.dumps(body).encode())
        return True

    return script


def shadowing(path: Path, *, prompts: bool = False, **policy: Any) -> dict[str, Any]:
    return {
        "decisions": {"url": f"sqlite:///{path}/log.db", "store_prompts": prompts},
        "profiles": {"default": {"shadow": {"share": 1, **policy}}},
    }


async def counted(gateway: Running, outcome: str, times: int = 1) -> bool:
    async def now() -> float:
        return await gateway.metric("thinkgate_shadows_total", outcome=outcome)

    for _ in range(round(LIMIT_S / 0.01)):
        if await now() >= times:
            return True
        await asyncio.sleep(0.01)
    return False


async def shadow_of(gateway: Running, answer: Any) -> Any:
    name = answer.headers["x-thinkgate-decision-id"]
    return (await gateway.http.get(f"/v1/decisions/{name}")).json()["shadow"]


@pytest.mark.parametrize("streamed", [False, True])
async def test_the_other_mode_is_asked_too_and_its_tokens_are_kept(
    start: Start, tmp_path: Path, streamed: bool
) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    gateway.deep.default = says("42", 300)
    answer = await gateway.chat(stream=streamed)
    assert answer.headers["x-thinkgate-mode"] == "instruct"
    assert await counted(gateway, "kept")
    (request,) = gateway.deep.requests
    assert request.json["model"] == "thinking"
    assert request.json["stream"] is False
    assert "stream_options" not in request.json
    shadow = await shadow_of(gateway, answer)
    assert (shadow["mode"], shadow["tokens"], shadow["profile"]) == ("thinking", 300, "default")
    assert shadow["client_tokens"] > 0
    assert shadow["seconds"] > 0
    assert shadow["answer"] is None
    listed = (await gateway.http.get("/v1/decisions")).json()["data"]
    assert [one["mode"] for one in listed] == ["instruct"], "a shadow is no decision"


async def test_its_answer_is_kept_where_prompts_are(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.9, **shadowing(tmp_path, prompts=True))
    gateway.fast.default = says("from Instruct", 3)
    answer = await gateway.chat()
    assert await counted(gateway, "kept")
    assert (await shadow_of(gateway, answer))["answer"] == "from Instruct"


async def test_without_the_setting_nobody_is_asked_twice(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, decisions={"url": f"sqlite:///{tmp_path}/log.db"})
    answer = await gateway.chat()
    assert await shadow_of(gateway, answer) is None
    assert gateway.deep.requests == []


async def test_who_chose_the_mode_or_calls_tools_is_not_shadowed(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    await gateway.chat(model="auto-instruct")
    await gateway.chat(tools=[tool])
    await gateway.chat(n=2)
    await gateway.chat()
    assert await counted(gateway, "kept") or await counted(gateway, "failed")
    assert len(gateway.deep.requests) == 1, "the last one's"


async def test_a_shadow_that_fails_is_nobodys_trouble(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    gateway.deep.default = error(500)
    answer = await gateway.chat()
    assert answer.status_code == 200
    assert await counted(gateway, "failed")
    assert await shadow_of(gateway, answer) is None
    assert await gateway.metric("thinkgate_requests_total", mode="thinking") == 0


async def test_no_more_run_than_allowed_and_a_client_never_waits_for_one(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    release = asyncio.Event()

    async def slow(turn: Turn) -> bool:
        await release.wait()
        return bool(await says("42", 300)(turn))

    gateway.deep.default = slow
    for _ in range(3):
        assert (await gateway.chat()).status_code == 200
    assert await counted(gateway, "no_room", 2)
    release.set()
    assert await counted(gateway, "kept")
    assert len(gateway.deep.requests) == 1


async def test_none_begins_where_the_pool_is_busy(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path, max_beside=0))
    release, begun = asyncio.Event(), asyncio.Event()

    async def slow(turn: Turn) -> bool:
        begun.set()
        await release.wait()
        return bool(await whole()(turn))

    gateway.deep.default = slow
    thinking = asyncio.ensure_future(gateway.chat(model="auto-thinking"))
    await begun.wait()
    await gateway.chat()
    assert await counted(gateway, "no_room")
    release.set()
    await thinking
    assert len(gateway.deep.requests) == 1


async def test_one_that_runs_makes_way_when_others_wait(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    gone = asyncio.Event()

    async def endless(turn: Turn) -> bool:
        await turn.wait_gone(LIMIT_S)
        gone.set()
        return False

    gateway.deep.default = endless
    await gateway.chat()
    assert await soon(lambda: len(gateway.deep.requests) == 1, LIMIT_S)
    pool = gateway.app.pools["deep"]
    pool.replicas[0].depth = type("Depth", (), {"cache": 0.9, "waiting": 0.0})()
    assert await counted(gateway, "broken_off")
    await asyncio.wait_for(gone.wait(), LIMIT_S)


async def test_its_thinking_is_budgeted(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path, thinking_tokens_per_hour=500))
    gateway.deep.default = says("42", 300)
    for number in range(1, 3):
        await gateway.chat()
        assert await counted(gateway, "kept", number)
    await gateway.chat()
    assert await counted(gateway, "no_tokens")
    assert len(gateway.deep.requests) == 2


async def test_what_they_measured_is_in_the_savings(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    gateway.fast.default = says("42", 10)
    for number in range(12):
        gateway.deep.default = says("42", 110 + 10 * (number % 2))
        await gateway.chat()
        assert await counted(gateway, "kept", number + 1)
    told = (await gateway.http.get("/v1/savings")).json()["measured"]
    assert told["instruct"] == {"pairs": 0, "tokens": None, "seconds": None}
    assert told["thinking"]["pairs"] == 12
    tokens = told["thinking"]["tokens"]
    assert tokens["mean"] == 105
    assert 100 < tokens["low"] < 105 < tokens["high"] < 110
    nobody = (await gateway.http.get("/v1/savings", params={"profile": "other"})).json()["measured"]
    assert nobody["thinking"]["pairs"] == 0


async def test_they_end_with_the_gateway(start: Start, tmp_path: Path) -> None:
    gateway = await start(score=0.0, **shadowing(tmp_path))
    gone = asyncio.Event()

    async def endless(turn: Turn) -> bool:
        await turn.wait_gone(LIMIT_S)
        gone.set()
        return False

    gateway.deep.default = endless
    await gateway.chat()
    assert await soon(lambda: len(gateway.deep.requests) == 1, LIMIT_S)
    shadows = gateway.app._services.shadows
    assert shadows is not None
    await shadows.close()
    await asyncio.wait_for(gone.wait(), LIMIT_S)


def test_without_a_log_there_is_nothing_to_keep_them_in() -> None:
    settings = parse_settings(
        {
            "pools": {"fast": {"model": "i", "replicas": ["http://127.0.0.1:1"]}},
            "routes": {"auto": {"family": "qwen3-hybrid", "pool": "fast"}},
            "profiles": {"default": {"shadow": {"share": 0.1}}},
            "decisions": {"url": ""},
        },
        {},
    )
    with pytest.raises(ConfigError, match=r"profiles\.default\.shadow: .*decisions\.url"):
        create_app(settings, judge=ConstantJudge(0.5))
