"""`thinkgate judge score --ray` where it cannot work: it says why. tests/deploy/check_ray.py has a cluster."""

import builtins

import pytest

from app.cli import main


@pytest.fixture
def rows(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"prompt": "hi"}\n', "utf-8")
    return str(path)


def test_without_the_extra_it_names_the_extra(rows, tmp_path, monkeypatch, capsys):
    real = builtins.__import__

    def without_ray(name, *arguments, **keywords):
        if name.split(".")[0] == "ray":
            raise ImportError("no ray")
        return real(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without_ray)
    assert main(["judge", "score", "--ray", "--input", rows, "--output", str(tmp_path / "out")]) == 2
    assert "pip install 'thinkgate[ray]'" in capsys.readouterr().err


def test_standard_input_is_refused(capsys):
    assert main(["judge", "score", "--ray", "--input", "-", "--output", "-"]) == 2
    assert "needs a file" in capsys.readouterr().err
