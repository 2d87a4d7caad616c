"""The commands that start nothing: `serve --check` and `route`."""

import io
import json
import subprocess
import sys

import pytest
import yaml

from app.cli import main

POOLS = {
    "fast": {"model": "a", "replicas": ["http://127.0.0.1:1"]},
    "deep": {"model": "b", "replicas": ["http://127.0.0.1:1"]},
}
CONFIG = {
    "pools": POOLS,
    "routes": {"auto": {"family": "qwen3-2507", "instruct": "fast", "thinking": "deep"}},
    "judge": {"kind": "heuristic"},
}
HARD = "Prove that there is no largest prime number. Show that the theorem holds."


@pytest.fixture
def config(tmp_path):
    def write(**changes):
        file = tmp_path / "thinkgate.yaml"
        file.write_text(yaml.safe_dump({**CONFIG, **changes}))
        return str(file)

    return write


def test_a_good_file_is_said_to_be_fine(config, capsys):
    assert main(["serve", "--check", "--config", config()]) == 0
    assert "fine (routes: auto; judge: heuristic@1)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"poools": {}}, "did you mean `pools`?"),
        ({"server": {"host": "0.0.0.0"}}, "auth.keys"),
        ({"judge": {"kind": "linear", "path": "/no/such/directory"}}, "judge: cannot be loaded"),
    ],
)
def test_a_bad_file_is_refused_in_words_with_status_2(config, capsys, changes, said):
    assert main(["serve", "--check", "--config", config(**changes)]) == 2
    assert said in capsys.readouterr().err


def test_a_missing_file_is_refused_in_words(capsys):
    assert main(["serve", "--check", "--config", "nowhere.yaml"]) == 2
    assert "nowhere.yaml: cannot be read" in capsys.readouterr().err


def test_weights_that_cannot_be_read_are_told_in_words_by_route_too(config, capsys):
    file = config(judge={"kind": "linear", "path": "/no/such/directory"})
    assert main(["route", "x", "--config", file]) == 2
    assert "/no/such/directory" in capsys.readouterr().err


def test_route_says_the_decision_and_why(config, capsys):
    assert main(["route", HARD, "--config", config()]) == 0
    out = capsys.readouterr().out
    assert out.startswith("thinking  (judge: score ")
    assert "asks for a proof or derivation" in out


def test_route_gives_json_for_programs(config, capsys):
    assert main(["route", "--json", "hello", "--config", config()]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["mode"], told["reason"], told["pool"]) == ("instruct", "judge", "fast")


def test_route_reads_standard_input_headers_and_model(config, capsys, monkeypatch):
    monkeypatch.setattr("sys.stdin", io.StringIO(HARD))
    file = config()
    assert main(["route", "-", "--header", "X-Thinkgate-Mode: instruct", "--config", file]) == 0
    assert capsys.readouterr().out.startswith("instruct  (client_header")
    assert main(["route", "x", "--model", "auto-thinking", "--config", file]) == 0
    assert capsys.readouterr().out.startswith("thinking  (client_model")


def test_route_refuses_an_unknown_model_with_status_2(config, capsys):
    assert main(["route", "x", "--model", "nobody", "--config", config()]) == 2
    assert "`nobody` does not exist" in capsys.readouterr().err


def test_without_a_file_the_shipped_judge_decides(capsys):
    assert main(["route", "--json", "hello"]) == 0
    assert json.loads(capsys.readouterr().out)["judge"].startswith("linear@")


def test_a_reader_that_has_had_enough_is_no_error(config):
    command = [sys.executable, "-m", "app", "route", HARD, "--config", config()]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(60) == 141
