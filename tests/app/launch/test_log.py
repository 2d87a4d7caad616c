"""What a log says last, and what of it matters."""

from pathlib import Path

import pytest

from app.launch.log import hint, notable, phase, tail

# As vLLM 0.32 writes them.
START = """\
W1124 08:26:35.560000 5253 torch/_library/triton.py:53] Triton not available, find_triton_kernels = []
(APIServer pid=5253) INFO 11-24 08:26:22 [api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0
(APIServer pid=5253) INFO 11-24 08:26:35 [model.py:733] Resolved architecture: Qwen3ForCausalLM
(EngineCore pid=5495) INFO 11-24 08:26:47 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with config: model='x'
(EngineCore pid=5495) INFO 11-24 08:26:48 [ompmultiprocessing.py:185] \treserved_cpus=[]
/x/vllm/triton_utils/dispatcher.py:138: FutureWarning: `torch.distributed.reduce_op` is deprecated
  if hasattr(value, "__dict__"):
(Worker pid=5503) INFO 11-24 08:27:02 [default_loader.py:501] Loading weights took 0.01 seconds
(EngineCore pid=5495) INFO 11-24 08:27:02 [core.py:402] init engine (profile, create kv cache) took 0.14 s
(APIServer pid=5253) INFO 11-24 08:27:03 [launcher.py:195] Route: /health, Methods: GET
INFO:     Application startup complete.
""".splitlines()


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (0, "importing vLLM"),
        (2, "reading the model's configuration"),
        (3, "starting the engine core"),
        (4, "starting the worker"),
        (8, "loading the weights"),
        (9, "preparing the cache"),
        (11, "opening the server"),
    ],
)
def test_the_phase_follows_the_log(lines: int, expected: str) -> None:
    assert phase(START[:lines], "importing vLLM") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (2, ""),
        (3, "Resolved architecture: Qwen3ForCausalLM"),
        (8, "Loading weights took 0.01 seconds"),
        (10, "init engine (profile, create kv cache) took 0.14 s"),
        (11, "Application startup complete."),
    ],
)
def test_the_notable_line_is_not_the_noise(lines: int, expected: str) -> None:
    assert notable(START[:lines]) == expected


def test_warnings_code_and_routes_are_not_notable() -> None:
    assert notable([START[0], START[4], *START[5:7], START[9]]) == ""


def test_the_tail_has_no_colours_and_only_the_last_state_of_a_progress_bar(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_bytes(b"\x1b[32mone\x1b[0m\r\n\n 10%|#   \r 90%|### \rdone\nthree\n")
    assert tail(log, 20) == ["one", "done", "three"]
    assert tail(log, 1) == ["three"]


def test_the_tail_starts_where_this_start_began(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("old\nnew\n")
    assert tail(log, 20, since=4) == ["new"]


def test_the_tail_of_a_huge_log_reads_only_its_end(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("x" * 1_000_000 + "\nend\n")
    assert tail(log, 1) == ["end"]


def test_no_log_has_no_tail(tmp_path: Path) -> None:
    assert tail(tmp_path / "none.log", 20) == []


@pytest.mark.parametrize(
    ("line", "advice"),
    [
        ("ValueError: Free memory on device cuda:0 (3.1/79.1 GiB) on startup is less than desired", "gpu-memory-share"),
        ("torch.OutOfMemoryError: CUDA out of memory. Tried to allocate", "max-model-len"),
        ("api_server.py: error: unrecognized arguments: --nope", "--vllm-arg"),
        ("RuntimeError: Failed to infer device type", "install.sh"),
        ("all is well", ""),
    ],
)
def test_known_crashes_come_with_advice(line: str, advice: str) -> None:
    assert advice in hint(["something", line])
    assert bool(hint([line])) == bool(advice)


def test_a_setting_that_vllm_lists_is_no_crash() -> None:
    assert (
        hint(["(EngineCore pid=1) INFO 11-24 08:26:47 [core.py:133] config: CUDA out of memory, invalid choice"]) == ""
    )
