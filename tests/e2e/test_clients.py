"""The clients that people use, as their makers ship them, in front of the gateway and two real vLLM servers.

Each client is a program of its own in tests/e2e/clients/, run once, that says what it has seen. The snippets of
docs/clients.md are run as they stand there.
"""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from .conftest import KEY, ROOT, Server, hard_question

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]
CLIENTS = Path(__file__).parent / "clients"
NODE_FOLDER = CLIENTS / "node"
PYTHON = ROOT / ".venv-clients" / "bin" / "python"
PAGE = ROOT / "docs" / "clients.md"
EASY = "Hello"
HARD, HARD_ANSWER = hard_question()
# The exceptions by which each client tells a name that does not exist, a request that is refused, and a wrong key.
ERRORS = {
    "openai.mjs": ("NotFoundError", "BadRequestError", "AuthenticationError"),
    "anthropic.mjs": ("NotFoundError", "BadRequestError", "AuthenticationError"),
    "ai_sdk.mjs": ("AI_APICallError", "AI_APICallError", "AI_APICallError"),
    "langchain.py": ("OpenAIModelNotFoundError", "OpenAIInvalidRequestError", "OpenAIAuthenticationError"),
    "litellm.py": ("NotFoundError", "BadRequestError", "AuthenticationError"),
    "pydantic_ai.py": ("ModelNotFoundError", "ModelRequestRejectedError", "ModelAuthenticationError"),
}
every_client = pytest.mark.parametrize("name", ERRORS)
Ask = Callable[[str], dict[str, Any]]


def command(language: str) -> list[str]:
    """What runs a program of that language, given on its standard input; fails where none is installed."""
    if language == "python":
        if not PYTHON.exists():
            pytest.fail(f"{PYTHON} is not there: `make clients` installs the clients")
        return [str(PYTHON), "-"]
    node = shutil.which("node")
    if node is None or not (NODE_FOLDER / "node_modules").is_dir():
        pytest.fail("Node.js or node_modules is not there: `make clients` installs the clients")
    return [node, "--input-type=module", "-"]


def run(language: str, program: str, gateway: Server) -> str:
    """What the program prints; fails where it fails."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    env |= {"GATEWAY_URL": gateway.url, "GATEWAY_KEY": KEY, "EASY": EASY, "HARD": HARD}
    done = subprocess.run(
        command(language),
        input=program,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=env,
        cwd=NODE_FOLDER if language != "python" else CLIENTS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.fixture(scope="module")
def ask(gateway: Server) -> Ask:
    """What a client has seen, by what it tried."""

    @cache
    def seen(name: str) -> dict[str, Any]:
        python = name.endswith(".py")
        program = (CLIENTS if python else NODE_FOLDER) / f"with_{name}"
        found: dict[str, Any] = json.loads(run("python" if python else "javascript", program.read_text(), gateway))
        return found

    return seen


@every_client
@pytest.mark.parametrize("way", ["", "_streamed"])
def test_each_question_is_answered_in_its_mode(ask: Ask, name: str, way: str) -> None:
    seen = ask(name)
    for question, mode, content in (("easy", "instruct", "Hello!"), ("hard", "thinking", HARD_ANSWER)):
        told = seen[question + way]
        assert content in told["content"]
        assert "think" not in told["content"]
        if name == "litellm.py" and way:
            assert told["model"] == "auto"  # it writes the name that was asked for into its chunks
        else:
            assert told["model"] == f"mini-{mode}"
        assert told.get("header", mode) == mode
        assert told.get("mode", mode) == mode
        assert bool(told.get("reasoning")) is (mode == "thinking" and name != "langchain.py")


def test_most_clients_show_the_decision_itself(ask: Ask) -> None:
    assert {name for name in ERRORS if "mode" in ask(name)["hard_streamed"]} == {n for n in ERRORS if "mjs" in n}
    assert {name for name in ERRORS if "header" in ask(name)["hard_streamed"]} == {*ERRORS} - {"pydantic_ai.py"}


def test_a_stream_tells_its_tokens(ask: Ask) -> None:
    assert ask("ai_sdk.mjs")["hard_streamed"]["tokens"] > ask("ai_sdk.mjs")["easy_streamed"]["tokens"] > 0


@every_client
@pytest.mark.parametrize("way", ["", "_streamed"])
def test_a_tool_is_called(ask: Ask, name: str, way: str) -> None:
    # LiteLLM leaves out `strict`, without which vLLM 0.32 does not hold the model to the tool's schema.
    expected = True if name == "litellm.py" else {"city": "Lima"}
    assert ask(name)["tool" + way] == {"name": "weather", "input": expected}


@every_client
def test_errors_are_the_clients_own(ask: Ask, name: str) -> None:
    seen = ask(name)
    unknown, refused, stranger = ERRORS[name]
    for what, error, status, word in (
        ("unknown_model", unknown, 404, "auto-thinking"),
        ("unknown_model_streamed", unknown, 404, "auto-thinking"),
        ("bad_request", refused, 400, "5000"),
        ("wrong_key", stranger, 401, "key is not valid"),
    ):
        assert (seen[what]["error"], seen[what]["status"]) == (error, status), what
        assert word in seen[what]["message"]


SNIPPETS = re.findall(
    r"^```(python|javascript)\n(.*?)^```\n+```text\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE
)


@pytest.mark.parametrize("number", range(len(SNIPPETS)))
def test_the_pages_snippets_print_what_it_says(gateway: Server, number: int) -> None:
    language, program, printed = SNIPPETS[number]
    assert "http://127.0.0.1:8080" in program
    program = program.replace("http://127.0.0.1:8080", gateway.url).replace("YOUR_KEY", KEY)
    assert run(language, program, gateway).replace("mini-", "") == printed  # the names that `make run` serves


def test_every_snippet_of_the_page_is_run() -> None:
    assert len(SNIPPETS) == len(re.findall(r"^```(?:python|javascript)$", PAGE.read_text("utf-8"), re.MULTILINE)) >= 8
