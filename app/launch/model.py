"""What to serve: a local directory or a hub name, and the few facts about it that choose flags. Loads no weights."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from app.launch.errors import LaunchError

_HUB_NAME = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?(:[\w.-]+)?")
_WEIGHTS = ("*.safetensors", "*.bin", "*.pt", "*.gguf")
_LFS_POINTER = b"version https://git-lfs"


@dataclass(frozen=True, slots=True)
class Model:
    """One model as the user named it; `config` and `weight_bytes` are known for local directories only."""

    source: str
    local: bool
    name: str
    config: Mapping[str, Any] = field(default_factory=dict)
    weight_bytes: int | None = None
    switchable: bool = False

    @property
    def kind(self) -> str:
        """The `model_type` of config.json, such as `qwen3_moe`; empty where unknown."""
        return str(self.config.get("model_type", ""))

    def kv_bytes_per_token(self, element_bytes: int) -> int | None:
        """Keys and values of all layers for one token; None where config.json does not say."""
        text = self.config.get("text_config", self.config)
        layers, heads = text.get("num_hidden_layers"), text.get("num_attention_heads")
        if not isinstance(layers, int) or not isinstance(heads, int):
            return None
        kv_heads = text.get("num_key_value_heads") or heads
        head_size = text.get("head_dim") or text.get("hidden_size", 0) // heads
        return int(2 * layers * kv_heads * head_size * element_bytes) or None


def find_model(given: str) -> Model:
    """Resolve what the user wrote; raises LaunchError where it can be seen at once that no engine could load it."""
    path = Path(given).expanduser()
    if path.is_dir():
        return _local(path.resolve())
    if path.exists():
        raise LaunchError(f"{given} is a file. Name the directory that holds config.json and the weights.")
    if _is_path(given, path):
        raise LaunchError(f"There is no directory {given} (looked in {path.absolute().parent}).")
    if "://" in given or _HUB_NAME.fullmatch(given):
        return Model(source=given, local=False, name=given)
    raise LaunchError(f"{given!r} is neither a directory nor a hub name such as Qwen/Qwen3-30B-A3B-Instruct-2507.")


def _is_path(given: str, path: Path) -> bool:
    if "://" in given:
        return False
    # `models/mine` could be a hub name; where ./models exists, a forgotten download is far likelier.
    return given.startswith((".", "/", "~")) or given.count("/") > 1 or ("/" in given and path.parent.is_dir())


def _local(path: Path) -> Model:
    file = path / "config.json"
    if not file.is_file():
        if (path / "params.json").is_file():
            return Model(source=str(path), local=True, name=path.name)
        found = ", ".join(sorted(p.name for p in path.iterdir())[:5]) or "nothing"
        raise LaunchError(f"{path} has no config.json (it holds {found}): it is not a model directory.")
    try:
        config = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LaunchError(f"{file} cannot be read as JSON: {error}") from error
    if not isinstance(config, dict):
        raise LaunchError(f"{file} is not a JSON object: it is not a model's configuration.")
    weights = [p for pattern in _WEIGHTS for p in path.glob(pattern)]
    if not weights:
        raise LaunchError(f"{path} has a config.json but no weights ({', '.join(_WEIGHTS)}).")
    for weight in weights:
        with weight.open("rb") as opened:
            if opened.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise LaunchError(f"{weight} is a Git LFS pointer, not weights. Run `git lfs pull` there.")
    return Model(
        source=str(path),
        local=True,
        name=path.name,
        config=config,
        weight_bytes=sum(p.stat().st_size for p in weights),
        switchable=_switchable(path),
    )


def _switchable(path: Path) -> bool:
    """Whether the chat template can turn thinking on and off, as those of hybrid models do."""
    for name in ("chat_template.jinja", "tokenizer_config.json"):
        file = path / name
        if file.is_file() and "enable_thinking" in file.read_text(encoding="utf-8", errors="replace"):
            return True
    return False
