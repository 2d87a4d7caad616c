"""What cannot be served is said at once."""

from collections.abc import Callable
from pathlib import Path

import pytest

from app.launch.errors import LaunchError
from app.launch.model import find_model


def test_a_directory_is_a_model_named_after_it(model_dir: Callable[..., Path]) -> None:
    model = find_model(str(model_dir("instruct")))
    assert (model.local, model.name, model.kind, model.weight_bytes) == (True, "instruct", "qwen3", 1000)


@pytest.mark.parametrize("name", ["Qwen/Qwen3-8B", "gpt2", "org/model:Q4_K_M", "s3://bucket/model"])
def test_what_is_no_path_is_a_hub_name(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    model = find_model(name)
    assert (model.local, model.source, model.name) == (False, name, name)


@pytest.mark.parametrize("name", ["./qwen", "/nowhere/qwen", "~/no-such-model", "a/b/c", "models/qwen"])
def test_a_missing_directory_is_not_taken_for_a_hub_name(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "models").mkdir()
    with pytest.raises(LaunchError, match="There is no directory"):
        find_model(name)


def test_a_name_that_no_hub_has_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(LaunchError, match="neither a directory nor a hub name"):
        find_model("what is this?")


def test_a_directory_without_config_says_what_it_holds(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").touch()
    with pytest.raises(LaunchError, match=r"no config\.json \(it holds notes\.txt\)"):
        find_model(str(tmp_path))


def test_a_file_is_not_a_model(model_dir: Callable[..., Path]) -> None:
    with pytest.raises(LaunchError, match="is a file"):
        find_model(str(model_dir() / "config.json"))


def test_broken_json_is_named(model_dir: Callable[..., Path]) -> None:
    path = model_dir()
    (path / "config.json").write_text("{")
    with pytest.raises(LaunchError, match="cannot be read as JSON"):
        find_model(str(path))
    (path / "config.json").write_text("[]")
    with pytest.raises(LaunchError, match="not a JSON object"):
        find_model(str(path))


def test_missing_weights_and_pointers_are_named(model_dir: Callable[..., Path]) -> None:
    path = model_dir()
    (path / "model.safetensors").write_text("version https://git-lfs.github.com/spec/v1\n")
    with pytest.raises(LaunchError, match="Git LFS pointer"):
        find_model(str(path))
    (path / "model.safetensors").unlink()
    with pytest.raises(LaunchError, match="no weights"):
        find_model(str(path))


def test_a_switchable_template_is_seen(model_dir: Callable[..., Path]) -> None:
    assert find_model(str(model_dir("hybrid", template="{% if enable_thinking %}"))).switchable
    assert not find_model(str(model_dir("plain"))).switchable


def test_cache_size_follows_from_the_configuration(model_dir: Callable[..., Path]) -> None:
    model = find_model(str(model_dir()))
    assert model.kv_bytes_per_token(4) == 2 * 2 * 2 * 32 * 4
    assert find_model(str(model_dir("odd", num_hidden_layers=None))).kv_bytes_per_token(4) is None
