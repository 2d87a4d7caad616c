"""Routing pays: nearly the accuracy of always thinking, for much less of its tokens, on questions nobody trained on."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from .conftest import ENGINE, KEY, Server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]
QUESTIONS = 160  # half of them hard


def evaluate(gateway: Server, model: str, out: Path) -> list[dict[str, object]]:
    """deploy/engine/evaluate.py against the gateway, one row a question."""
    command = [sys.executable, str(ENGINE / "evaluate.py"), "--url", gateway.url, "--model", model, "--api-key", KEY]
    command += ["--count", str(QUESTIONS), "--json", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    rows: list[dict[str, object]] = json.loads(out.read_text())
    assert len(rows) == QUESTIONS
    return rows


@pytest.fixture(scope="module")
def rows(gateway: Server, tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[dict[str, object]]]:
    folder = tmp_path_factory.mktemp("accuracy")
    return {model: evaluate(gateway, model, folder / f"{model}.json") for model in ("auto", "auto-thinking")}


def test_easy_goes_to_instruct_and_hard_to_thinking(rows: dict[str, list[dict[str, object]]]) -> None:
    agreed = [(row["mode"] == "thinking") == row["hard"] for row in rows["auto"]]
    assert sum(agreed) / len(agreed) >= 0.95


def test_auto_is_nearly_as_right_as_always_thinking_for_much_less(rows: dict[str, list[dict[str, object]]]) -> None:
    right = {model: sum(bool(row["correct"]) for row in found) / len(found) for model, found in rows.items()}
    tokens = {model: sum(int(str(row["tokens"])) for row in found) for model, found in rows.items()}
    assert right["auto"] >= right["auto-thinking"] - 0.02
    assert tokens["auto"] < 0.6 * tokens["auto-thinking"]
