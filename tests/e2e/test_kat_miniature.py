"""The miniature that judges itself, on a real vLLM server without a reasoning parser: its format and its verdicts."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from .conftest import ENGINE, Server, hard_question

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
HARD, HARD_ANSWER = hard_question()
QUESTIONS = 120  # half of them hard


def text(server: Server, messages: list[dict[str, str]], **options: object) -> str:
    """The raw answer, tags included, to greedy decoding."""
    body = {"model": "mini-kat", "messages": messages, "temperature": 0, "max_tokens": 300, **options}
    answer = httpx.post(server.url + "/v1/chat/completions", json=body, timeout=60, trust_env=False)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def test_an_easy_question_is_judged_easy_and_answered_at_once(kat_engine: Server) -> None:
    assert text(kat_engine, [{"role": "user", "content": "Hello"}]) == (
        "<judge>\nSmall talk; no thinking is needed.\n</judge>\n\n"
        "<think_off>\n<answer>\nHello! How can I help you?\n</answer>"
    )


def test_a_hard_question_is_judged_hard_and_worked_out(kat_engine: Server) -> None:
    said = text(kat_engine, [{"role": "user", "content": HARD}])
    assert said.startswith("<judge>\n")
    order = [said.index(tag) for tag in ("</judge>", "<think_on>", "<think>", "</think>", "<answer>", "</answer>")]
    assert order == sorted(order)
    assert said.endswith(f"<answer>\n{HARD_ANSWER}\n</answer>")


@pytest.mark.parametrize(
    ("prefill", "begins"),
    [
        ("<think_on>", "\n<think>\n"),
        ("<think_on>\n<think>\n", ""),
        ("<judge>\nThe client has decided.\n</judge>\n\n<think_on>\n", "<think>\n"),
        ("<think_off>", "\n<answer>\n"),
        ("<think_off>\n<answer>\n", ""),
        ("<judge>\nThe client has decided.\n</judge>\n\n<think_off>\n", "<answer>\n"),
    ],
)
@pytest.mark.parametrize("question", ["Hello", HARD], ids=["easy", "hard"])
def test_a_verdict_given_in_its_place_is_followed(kat_engine: Server, question: str, prefill: str, begins: str) -> None:
    messages = [{"role": "user", "content": question}, {"role": "assistant", "content": prefill}]
    said = text(kat_engine, messages, add_generation_prompt=False, continue_final_message=True)
    assert said.startswith(begins)
    assert "<think_" not in said
    assert ("</think>" in said) is ("<think_on>" in prefill)
    assert said.endswith("\n</answer>")


def test_its_verdicts_are_right_and_so_are_its_answers(kat_engine: Server, tmp_path: Path) -> None:
    out = tmp_path / "kat.json"
    command = [
        sys.executable,
        str(ENGINE / "evaluate.py"),
        "--kat",
        kat_engine.url,
        "--count",
        str(QUESTIONS),
        "--json",
        str(out),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    rows = [row for row in json.loads(out.read_text()) if row["target"] == "kat"]
    assert len(rows) == QUESTIONS
    agreed = [(row["mode"] == "thinking") == row["hard"] for row in rows]
    assert sum(agreed) / len(agreed) >= 0.95
    assert sum(row["correct"] for row in rows) / len(rows) >= 0.95
