"""`thinkgate judge score` where it cannot begin: what stood at the output stays."""

import pytest

from app.cli import main


@pytest.mark.parametrize("ray", [[], ["--ray"]])
@pytest.mark.parametrize("missing", ["input", "weights"])
def test_what_cannot_begin_leaves_the_output_as_it_was(tmp_path, ray, missing, capsys):
    rows, kept = tmp_path / "rows.jsonl", tmp_path / "scores.jsonl"
    kept.write_text("of yesterday\n", "utf-8")
    if missing == "weights":
        rows.write_text('{"prompt": "hi"}\n', "utf-8")
    weights = ["--weights", str(tmp_path / "none")] if missing == "weights" else []
    assert main(["judge", "score", "--input", str(rows), "--output", str(kept), *weights, *ray]) == 2
    assert capsys.readouterr().err.startswith("thinkgate: ")
    assert kept.read_text("utf-8") == "of yesterday\n"
