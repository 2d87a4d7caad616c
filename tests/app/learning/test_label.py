"""`thinkgate label`: both modes of a real gateway with scripted backends, graded, kept, resumed."""

import argparse
import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from app.cli import label as command
from app.learning import backends as backends_module
from app.learning.backends import Backends, Refused, Unreachable
from app.learning.graders import grader_named
from app.learning.journal import Journal
from app.learning.labeller import Labeller, Progress
from app.learning.pairwise import compare
from tests.app.conftest import Running
from tests.app.scripted_upstream import Script, Turn, error


def says(words: Any, tokens: int = 3) -> Script:
    """Answers with `words`, or with what they say of the last user text."""

    async def script(turn: Turn) -> bool:
        prompt = turn.request.json["messages"][-1]["content"]
        text = words(prompt) if callable(words) else words
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


def prompts(path: Path, count: int = 6) -> Path:
    path.write_text(
        "".join(json.dumps({"id": f"p{n}", "prompt": f"say {n}", "answer": str(n)}) + "\n" for n in range(count))
    )
    return path


async def label(*arguments: object) -> int:
    """The command in the test's own loop."""
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    return await command._run(parser.parse_args(["label", *map(str, arguments)]))


def labelled(path: Path) -> list[dict[str, Any]]:
    return [row for line in path.read_text().splitlines() if "id" in (row := json.loads(line))]


@pytest.fixture
def pair(gateway: Running, monkeypatch: pytest.MonkeyPatch) -> Running:
    """Instruct is right on even numbers, Thinking always, for ten times the tokens."""
    monkeypatch.setattr(backends_module, "_FIRST_WAIT_S", 0.001)
    gateway.fast.default = says(lambda prompt: str(int(prompt.split()[-1]) // 2 * 2), 3)
    gateway.deep.default = says(lambda prompt: prompt.split()[-1], 30)
    return gateway


async def test_both_modes_are_asked_and_graded(pair: Running, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    source = prompts(tmp_path / "in.jsonl")
    assert await label("--prompts", source, "--out", out, "--url", pair.url, "--grader", "exact", "--samples", 2) == 0
    rows = sorted(labelled(out), key=lambda row: str(row["id"]))
    assert [row["instruct_correct"] for row in rows] == [1, 0, 1, 0, 1, 0]
    assert [row["thinking_correct"] for row in rows] == [1] * 6
    assert {row["instruct_tokens"] for row in rows} == {3}
    assert {row["thinking_tokens"] for row in rows} == {30}
    assert all(row["thinking_seconds"] > 0 and len(row["thinking_samples"]) == 2 for row in rows)
    assert all("text" not in sample for row in rows for sample in row["thinking_samples"])
    assert len(pair.fast.requests) == len(pair.deep.requests) == 12
    assert {request.json["seed"] for request in pair.deep.requests} == {0, 1}


async def test_what_is_done_is_not_asked_again(pair: Running, tmp_path: Path) -> None:
    out, source = tmp_path / "labels.jsonl", prompts(tmp_path / "in.jsonl")
    arguments = ("--out", out, "--url", pair.url, "--grader", "exact")
    await label("--prompts", prompts(tmp_path / "some.jsonl", 4), *arguments)
    assert len(pair.fast.requests) == 4
    await label("--prompts", source, *arguments)
    assert len(pair.fast.requests) == 6
    assert sorted(row["id"] for row in labelled(out)) == [f"p{n}" for n in range(6)]


async def test_no_more_than_asked_for_are_in_work(pair: Running, tmp_path: Path) -> None:
    now, most = 0, 0
    inner = says("x")

    async def counted(turn: Turn) -> bool:
        nonlocal now, most
        now += 1
        most = max(most, now)
        await asyncio.sleep(0.01)
        now -= 1
        return bool(await inner(turn))

    pair.fast.default = pair.deep.default = counted
    source = prompts(tmp_path / "in.jsonl", 12)
    await label(
        *("--prompts", source, "--out", tmp_path / "o", "--url", pair.url, "--grader", "exact", "--concurrency", 3)
    )
    assert most == 3


async def test_a_configurations_backends_are_asked_without_its_gateway(pair: Running, tmp_path: Path) -> None:
    config = tmp_path / "thinkgate.yaml"
    config.write_text(
        f"""
auth: {{keys: [{{key: secret-of-the-operator}}]}}
pools:
  fast: {{model: i, replicas: ["{pair.fast.url}"]}}
  deep: {{model: t, replicas: ["{pair.deep.url}"]}}
routes: {{auto: {{family: qwen3-2507, instruct: fast, thinking: deep}}}}
decisions: {{url: "sqlite:///{tmp_path}/never.db"}}
"""
    )
    out = tmp_path / "labels.jsonl"
    source = prompts(tmp_path / "in.jsonl")
    assert await label("--prompts", source, "--out", out, "--config", config, "--grader", "number") == 0
    assert [row["thinking_correct"] for row in labelled(out)] == [1] * 6
    assert not (tmp_path / "never.db").exists()


async def test_a_backend_that_recovers_is_waited_for(pair: Running, tmp_path: Path) -> None:
    pair.deep.then(error(503), error(500))
    out = tmp_path / "labels.jsonl"
    await label("--prompts", prompts(tmp_path / "in.jsonl"), "--out", out, "--url", pair.url, "--grader", "exact")
    assert len(labelled(out)) == 6


async def test_a_backend_that_is_not_there_ends_the_run_and_what_was_done_stays(pair: Running, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    arguments = ("--out", out, "--url", pair.url, "--grader", "exact")
    await label("--prompts", prompts(tmp_path / "some.jsonl", 2), *arguments)
    pair.fast.default = pair.deep.default = error(503)
    source = prompts(tmp_path / "in.jsonl")
    with pytest.raises(Unreachable, match=f"{pair.url} .*status 503"):
        await label("--prompts", source, *arguments)
    assert len(labelled(out)) == 2


async def test_a_key_that_is_refused_ends_the_run_at_once(start: Any) -> None:
    closed = await start(auth={"keys": [{"key": "right"}]})
    backends = Backends(closed.http, "auto", {})
    backends.first_wait_s = 3600
    with pytest.raises(Unreachable, match="status 401"):
        await backends.ask([{"role": "user", "content": "x"}], command_mode("instruct"))


def command_mode(name: str) -> Any:
    from router.mode import Mode

    return Mode(name)


async def test_a_gateway_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends_module, "_FIRST_WAIT_S", 0.001)
    source = prompts(tmp_path / "in.jsonl")
    with pytest.raises(Unreachable, match=r"http://127\.0\.0\.1:1 .*ConnectError"):
        await label("--prompts", source, "--out", tmp_path / "o", "--url", "http://127.0.0.1:1", "--grader", "exact")


async def test_a_profile_that_forces_a_mode_is_noticed(start: Any, tmp_path: Path) -> None:
    forced = await start(profiles={"default": {"mode": "instruct"}})
    forced.fast.default = says("1")
    source = prompts(tmp_path / "in.jsonl")
    with pytest.raises(Unreachable, match="asked for thinking, answered in instruct mode"):
        await label("--prompts", source, "--out", tmp_path / "o", "--url", forced.url, "--grader", "exact")
    assert labelled(tmp_path / "o") == []


async def test_a_prompt_that_is_refused_is_noted_and_the_others_go_on(pair: Running, tmp_path: Path) -> None:
    pair.fast.then(error(400, "too long"))
    out = tmp_path / "labels.jsonl"
    await label(
        *("--prompts", prompts(tmp_path / "in.jsonl"), "--out", out, "--url", pair.url),
        *("--grader", "exact", "--concurrency", 1),
    )
    rows = labelled(out)
    assert len(rows) == 6
    assert ["error" in row for row in rows] == [True, *[False] * 5]
    assert "too long" in rows[0]["error"]
    assert "instruct_correct" not in rows[0]


async def test_a_broken_grader_ends_the_run_and_its_row_does_not_count(pair: Running, tmp_path: Path) -> None:
    grader = tmp_path / "mine.py"
    grader.write_text("def grade(row, answer):\n    return {'p0': 1, 'p1': 1}[row['id']]\n")
    out = tmp_path / "labels.jsonl"
    parsed = ("--prompts", prompts(tmp_path / "in.jsonl"), "--out", out, "--url", pair.url, "--concurrency", 1)
    from app.learning.graders import BrokenGrader

    with pytest.raises(BrokenGrader, match="failed on row `p2`"):
        await label(*parsed, "--grader", f"{grader}:grade")
    assert [row["id"] for row in labelled(out)] == ["p0", "p1"]


async def test_a_model_compares_in_both_orders(pair: Running) -> None:
    backends = Backends(pair.http, "auto", {})

    def prefers(word: str) -> Script:
        """The answer that holds `word`, wherever it stands."""

        def verdict(prompt: str) -> str:
            first = prompt.index(word) < prompt.index("<answer_b>") if word in prompt else None
            return "VERDICT: TIE" if first is None else f"VERDICT: {'A' if first else 'B'}"

        return says(verdict)

    ask = [{"role": "user", "content": "hi"}]
    pair.fast.default = prefers("thought")
    assert await compare(backends, "instruct", ask, "quick", "thought") == (0.0, 1.0)
    pair.fast.default = prefers("quick")
    assert await compare(backends, "instruct", ask, "quick", "thought") == (1.0, 0.0)
    pair.fast.default = says("VERDICT: A")  # whoever stands first
    assert await compare(backends, "instruct", ask, "quick", "thought") == (0.5, 0.5)


async def test_the_comparing_model_is_asked_by_the_command(pair: Running, tmp_path: Path) -> None:
    out = tmp_path / "labels.jsonl"
    pair.fast.default = says("VERDICT: TIE")
    source = prompts(tmp_path / "in.jsonl", 2)
    arguments = ("--prompts", source, "--out", out, "--url", pair.url, "--grader", "model")
    assert await label(*arguments, "--grading-model", "instruct") == 0
    assert [(row["instruct_correct"], row["thinking_correct"]) for row in labelled(out)] == [(0.5, 0.5)] * 2
    assert len(pair.fast.requests) == 2 + 2 * 2


async def test_an_answer_that_is_no_completion_is_refused(pair: Running) -> None:
    async def odd(turn: Turn) -> bool:
        await turn.answer(200, b'{"choices": []}')
        return True

    pair.fast.default = odd
    with pytest.raises((Refused, Unreachable)):
        await Backends(pair.http, "auto", {}).ask([{"role": "user", "content": "x"}], command_mode("instruct"))


def test_progress_estimates_what_is_left_from_this_runs_own_pace() -> None:
    assert str(Progress(6, 4, 10, 0, 100, 8.0)) == "6/10 prompts, 100 tokens, 8 s; about 200 tokens and 16 s to go"
    assert "to go" not in str(Progress(10, 4, 10, 1, 100, 8.0))
    assert "1 refused" in str(Progress(10, 4, 10, 1, 100, 8.0))


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('{"id": 1, "prompt": "x"}\n{half\n', ":2: not JSON"),
        ('{"id": 1}\n', ":1: needs `prompt`"),
        ('{"id": 1, "prompt": "x"}\n{"id": "1", "prompt": "y"}\n', ":2: the id `1` was there before"),
        ("\n", "no prompts"),
    ],
)
def test_bad_prompts_are_told_before_anything_is_asked(
    tmp_path: Path, lines: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_text(lines)
    parser = argparse.ArgumentParser()
    command.add_parser(parser.add_subparsers())
    arguments = ["label", "--prompts", str(source), "--out", str(tmp_path / "o"), "--url", "http://127.0.0.1:1"]
    assert command.run(parser.parse_args([*arguments, "--grader", "exact"])) == 2
    assert says in capsys.readouterr().err


async def test_killed_it_loses_only_what_was_in_work(pair: Running, tmp_path: Path) -> None:
    out, source = tmp_path / "labels.jsonl", prompts(tmp_path / "in.jsonl", 30)
    arguments = ("--prompts", source, "--out", out, "--url", pair.url, "--grader", "exact", "--concurrency", 1)
    inner = says("x")

    async def slow(turn: Turn) -> bool:
        await asyncio.sleep(0.01)
        return bool(await inner(turn))

    pair.deep.default = slow
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app", "label", *map(str, arguments))
    while not (out.exists() and out.read_bytes().count(b"\n") >= 5):
        assert process.returncode is None
        await asyncio.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    await process.wait()
    pair.deep.default = inner
    done, asked = len(labelled_whole(out)), len(pair.fast.requests)
    assert 4 <= done < 30
    assert asked - done <= 1
    assert await label(*arguments) == 0
    rows = labelled(out)
    assert sorted(row["id"] for row in rows) == sorted(f"p{n}" for n in range(30))
    assert len(pair.fast.requests) == asked + 30 - done


def labelled_whole(path: Path) -> list[dict[str, Any]]:
    whole = [line for line in path.read_bytes().splitlines(keepends=True) if line.endswith(b"\n")]
    return [row for line in whole if "id" in (row := json.loads(line))]


async def test_a_full_disk_stops_the_others_too(pair: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from app.learning.files import FileTrouble

    with Journal(tmp_path / "out.jsonl", {}) as journal:

        def full(row: Any) -> None:
            raise FileTrouble("no space left on device")

        monkeypatch.setattr(journal, "append", full)
        rows = [{"id": f"p{n}", "prompt": f"say {n}", "answer": str(n)} for n in range(20)]
        labeller = Labeller(Backends(pair.http, "auto", {}), grader_named("exact"), concurrency=2)
        with pytest.raises(FileTrouble):
            await labeller.run(rows, journal)
    assert len(pair.fast.requests) <= 4


async def test_a_drafts_first_log_probabilities_are_kept_where_they_are_asked_for(
    pair: Running, tmp_path: Path
) -> None:
    async def script(turn: Turn) -> bool:
        told = [{"token": "a", "logprob": value, "top_logprobs": []} for value in (-0.5, -0.25, 0.0, -4.0)]
        body = {
            "id": "x",
            "object": "chat.completion",
            "created": 1,
            "model": "m",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": "1"},
                    "finish_reason": "stop",
                    "logprobs": {"content": told} if turn.request.json.get("logprobs") else None,
                }
            ],
            "usage": {"prompt_tokens": 1, "completion_tokens": 4, "total_tokens": 5},
        }
        await turn.answer(200, json.dumps(body).encode())
        return True

    pair.fast.default = pair.deep.default = script
    source, out = prompts(tmp_path / "in.jsonl", 1), tmp_path / "labels.jsonl"
    arguments = ("--prompts", source, "--url", pair.url, "--grader", "exact")
    await label(*arguments, "--out", out, "--logprobs", 3)
    (row,) = labelled(out)
    assert row["instruct_samples"][0]["logprobs"] == [-0.5, -0.25, 0.0]
    assert "logprobs" not in row["thinking_samples"][0]
    assert [request.json.get("logprobs") for request in pair.deep.requests] == [None], "the thinking model is not asked"
    await label(*arguments, "--out", tmp_path / "plain.jsonl")
    assert "logprobs" not in labelled(tmp_path / "plain.jsonl")[0]["instruct_samples"][0]
