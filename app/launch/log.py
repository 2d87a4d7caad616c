"""Reading an engine's log file: its last lines, and the one that says most about what it is doing. Knows no process."""

import re
from pathlib import Path

_TAIL_BYTES = 64 * 1024
_ESCAPES = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
# "(EngineCore pid=123) INFO 11-24 08:27:02 [core.py:402] init engine …" says what matters after the bracket.
_PREFIX = re.compile(
    r"^(\(\w[\w-]* pid=\d+\) ?)?((INFO|WARNING|ERROR)\b:? *)?(\d\d-\d\d \d\d:\d\d:\d\d )?(\[[\w.]+:\d+\] ?)?"
)
_NOT_NOTABLE = re.compile(
    r"^(?!.*[A-Za-z]{3})|^\s|Warning:|warnings\.warn|Route: |Triton|non-default args|ulimit|LD_PRELOAD|IrOpPriority"
    r"|Inductor|Enforce eager|OMP_|OpenMP|reserve|custom fusions|node_rank|world_size"
    r"|rank \d+ in|Filesystem type|Auto-prefetch|^W\d{4} |^\[W|block size|^thinkgate:",
)
# The phases of a start as vLLM logs them, latest first.
_PHASES = (
    (re.compile(r"Application startup complete|Available routes|Starting vLLM server"), "opening the server"),
    (re.compile(r"KV cache|init engine|Graph capturing|Capturing"), "preparing the cache"),
    (re.compile(r"Loading safetensors|Loading weights|Starting to load model"), "loading the weights"),
    (re.compile(r"Downloading|Fetching \d+ files"), "downloading the weights"),
    (re.compile(r"Initializing a V1 LLM engine"), "starting the worker"),
    (re.compile(r"Resolved architecture|Using max model len"), "starting the engine core"),
    (re.compile(r"api_utils|non-default args"), "reading the model's configuration"),
)


def tail(path: Path, lines: int, since: int = 0) -> list[str]:
    """The last non-empty lines written after byte `since`, without colour codes and progress-bar overwriting."""
    try:
        with path.open("rb") as log:
            size = log.seek(0, 2)
            start = max(min(since, size), size - _TAIL_BYTES)
            log.seek(start)
            text = log.read().decode("utf-8", errors="replace")
    except OSError:
        return []
    clean = (_ESCAPES.sub("", line.rsplit("\r", 1)[-1]).rstrip() for line in text.replace("\r\n", "\n").split("\n"))
    return [line for line in clean if line][-lines:] if lines else []


def notable(lines: list[str]) -> str:
    """The latest line that tells a reader something, without vLLM's prefix; empty if none does."""
    for line in reversed(lines):
        text = _PREFIX.sub("", line)
        if text and not _NOT_NOTABLE.search(text):
            return text.strip()
    return ""


def phase(lines: list[str], first: str) -> str:
    """How far a vLLM server's start has come; `first` before it has said anything of that."""
    return next((name for pattern, name in _PHASES if any(pattern.search(line) for line in lines)), first)


# What a crash's last lines mean, for those whose own words do not say what to do.
_HINTS = (
    (re.compile(r"Free memory on device|less than desired GPU memory"), "lower --gpu-memory-share"),
    (re.compile(r"CUDA out of memory|OutOfMemoryError"), "lower --max-model-len or --gpu-memory-share"),
    (
        re.compile(r"No available memory for the cache blocks|KV cache.*larger than|max seq len"),
        "lower --max-model-len",
    ),
    (re.compile(r"unrecognized arguments|invalid choice|No such option"), "check --vllm-arg and --…-arg"),
    (
        re.compile(r"not a valid model identifier|RepositoryNotFound|401 Client Error|GatedRepo"),
        "check the name; gated models need HF_TOKEN",
    ),
    (
        re.compile(r"offline mode|Failed to resolve|Max retries exceeded"),
        "the hub cannot be reached: use a local directory",
    ),
    (
        re.compile(r"[Pp]lease .*trust.remote.code|requires you to execute"),
        "the model brings code: --vllm-arg=--trust-remote-code if you trust it",
    ),
    (re.compile(r"Failed to infer device type"), "this vLLM is built for GPUs and sees none: deploy/engine/install.sh"),
    (re.compile(r"address already in use", re.I), "another process took the engine's port"),
)


def hint(lines: list[str]) -> str:
    """What to do about a crash, where its log is of a known kind; else empty."""
    told = [line for line in lines if " INFO " not in line]  # the settings listed there hold every word
    return next((advice for pattern, advice in _HINTS if any(pattern.search(line) for line in told)), "")
