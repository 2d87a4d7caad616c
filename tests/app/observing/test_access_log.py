"""The access log: one line a request, nothing private in it, and no request waits for it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from app.observing.access_log import AccessLogFile
from app.observing.finished import Over
from tests.app.conftest import Start, both_ways, soon
from tests.app.scripted_upstream import stream

PATIENCE_S = 20


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@both_ways
async def test_a_request_is_a_line_with_its_decision_and_its_cost(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    run = await start(score=0.9, access_log={"path": str(path)})
    run.deep.default = stream("trained_thinking_stream")
    answer = await run.chat(stream=True)
    assert await soon(lambda: lines(path), PATIENCE_S)
    (said,) = lines(path)
    assert said["status"] == 200
    assert (said["api"], said["method"], said["path"]) == ("chat", "POST", "/v1/chat/completions")
    assert (said["asked"], said["mode"], said["reason"]) == ("auto", "thinking", "judge")
    assert (said["pool"], said["model"], said["profile"], said["tenant"]) == ("deep", "thinking", "default", "default")
    assert said["decision_id"] == answer.headers["x-thinkgate-decision-id"]
    assert said["request_id"] == answer.headers["x-request-id"]
    assert said["score"] == 0.9
    assert said["stream"] is True
    assert said["prompt_tokens"] > 0
    assert said["reasoning_tokens"] > 0
    assert said["answer_tokens"] > 0
    assert 0 < said["ttft_s"] <= said["tta_s"] <= said["duration_s"]
    assert said["time"].endswith("Z")
    assert path.stat().st_mode & 0o7777 == 0o640 & ~_umask()


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


async def test_refused_and_passed_through_requests_are_lines_too(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    run = await start(access_log={"path": str(path)}, auth={"keys": [{"key": "tg-secret"}]})
    key = {"authorization": "Bearer tg-secret"}
    await run.chat()
    await run.post("/v1/chat/completions", {"model": "nobody", "messages": [{"role": "user", "content": "x"}]}, key)
    await run.post("/tokenize", {"model": "auto", "prompt": "hello"}, key)
    await run.http.get("/v1/responses/resp_private", headers=key)
    await run.http.get("/metrics")  # not the data plane's
    assert await soon(lambda: len(lines(path)) == 4, PATIENCE_S), lines(path)
    assert [(said["status"], said["api"], said["path"]) for said in lines(path)] == [
        (401, "none", "/v1/chat/completions"),
        (404, "chat", "/v1/chat/completions"),
        (200, "tokenize", "/tokenize"),
        (404, "responses_by_id", "/v1/responses/{response_id}"),
    ]
    assert lines(path)[3]["method"] == "GET"


async def test_nothing_of_a_clients_text_key_or_headers_is_in_it(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    run = await start(access_log={"path": str(path)}, auth={"keys": [{"key": "tg-secret"}]})
    headers = {
        "authorization": "Bearer tg-secret",
        "x-request-id": "my-own-id",
        "user-agent": "agent/7",
        "x-session-id": "my-session",
        "cookie": "a=cookie-value",
    }
    messages = [{"role": "user", "content": "my prompt"}]
    answer = await run.chat(headers=headers, messages=messages)
    text = answer.json()["choices"][0]["message"]["content"]
    await run.chat(headers=headers, messages=messages, model="my-model")
    assert await soon(lambda: len(lines(path)) == 2, PATIENCE_S)
    written = path.read_text()
    for word in ("tg-secret", "my-own-id", "agent/7", "my-session", "cookie-value", "my prompt", "my-model", text):
        assert word not in written


async def test_a_client_that_leaves_is_a_499_with_its_phase(start: Start, tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    run = await start(access_log={"path": str(path)})

    async def never(turn) -> None:
        await turn.wait_gone(30)

    run.fast.default = never
    client = await run.raw()
    await client.ask()
    assert await soon(lambda: run.fast.requests, PATIENCE_S)
    client.vanish()
    assert await soon(lambda: lines(path), PATIENCE_S)
    assert (lines(path)[0]["status"], lines(path)[0]["left"]) == (499, "queued")


async def test_a_place_that_cannot_be_written_fails_no_request(start: Start, tmp_path: Path) -> None:
    folder = tmp_path / "later"
    run = await start(access_log={"path": str(folder / "access.log")})
    assert (await run.chat()).status_code == 200
    folder.mkdir()
    assert await soon(lambda: lines(folder / "access.log"), PATIENCE_S)  # what waited is written when it can be


def test_a_file_that_was_renamed_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "access.log"
    log = AccessLogFile(str(path))
    one = Over(1.5, 7.1, 7.0, "chat", "/v1/chat/completions", "default", 200, b"", "answering", 0.0, None)
    log.write([one, one])
    path.rename(tmp_path / "access.log.1")
    log.write([one])
    assert len(lines(path)) == 1
    assert len(lines(tmp_path / "access.log.1")) == 2
    path.unlink()
    log.write([one])
    assert lines(path) == [
        {
            "time": "1970-01-01T00:00:01.500Z",
            "api": "chat",
            "method": "POST",
            "path": "/v1/chat/completions",
            "tenant": "default",
            "status": 200,
            "duration_s": 0.1,
        }
    ]


async def test_without_it_nobody_is_told(start: Start) -> None:
    run = await start()
    assert run.app._services.observer is None


def test_a_dash_is_standard_output(capfd: pytest.CaptureFixture[str]) -> None:
    one = Over(1.5, 7.1, 7.0, "chat", "/v1/chat/completions", "default", 200, b"", "answering", 0.0, None)
    AccessLogFile("-").write([one, one])
    written = capfd.readouterr().out.splitlines()
    assert [json.loads(line)["status"] for line in written] == [200, 200]
